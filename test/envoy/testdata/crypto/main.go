// Command crypto is a filter that only the tests use: it imports what keys and signatures need, each with something that
// it must get right in Envoy.
package main

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"math/big"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vmContext{}) }

type vmContext struct{ types.DefaultVMContext }

func (*vmContext) NewPluginContext(uint32) types.PluginContext { return &pluginContext{} }

type pluginContext struct{ types.DefaultPluginContext }

// OnPluginStart goes through the table and fails at what is wrong.
func (*pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	status := types.OnPluginStartStatusOK
	for _, c := range checks {
		if !c.ok() {
			proxywasm.LogCritical("crypto: wrong: " + c.name)
			status = types.OnPluginStartStatusFailed
		}
	}
	return status
}

func (*pluginContext) NewHttpContext(uint32) types.HttpContext { return &httpContext{} }

type httpContext struct{ types.DefaultHttpContext }

func (*httpContext) OnHttpResponseHeaders(int, bool) types.Action {
	_ = proxywasm.ReplaceHttpResponseHeader("x-checked", "yes")
	return types.ActionContinue
}

var checks = []struct {
	name string
	ok   func() bool
}{
	{"crypto/aes", func() bool {
		block, err := aes.NewCipher(make([]byte, 16))
		if err != nil {
			return false
		}
		out := make([]byte, 16)
		block.Encrypt(out, make([]byte, 16))
		return hex.EncodeToString(out[:4]) == "66e94bd4"
	}},
	{"crypto/cipher", func() bool {
		block, _ := aes.NewCipher(make([]byte, 16))
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return false
		}
		sealed := gcm.Seal(nil, make([]byte, 12), []byte("text"), nil)
		opened, err := gcm.Open(nil, make([]byte, 12), sealed, nil)
		return err == nil && string(opened) == "text"
	}},
	{"crypto/ecdsa", func() bool {
		point, _ := hex.DecodeString(ecPoint)
		signed, _ := hex.DecodeString(ecSignature)
		key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(point[:32]), Y: new(big.Int).SetBytes(point[32:])}
		sum := sha256.Sum256([]byte("text"))
		good := ecdsa.VerifyASN1(key, sum[:], signed)
		sum[0] ^= 1
		return good && !ecdsa.VerifyASN1(key, sum[:], signed)
	}},
	{"crypto/ed25519", func() bool {
		private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		return ed25519.Verify(private.Public().(ed25519.PublicKey), []byte("text"), ed25519.Sign(private, []byte("text")))
	}},
	{"crypto/hmac", func() bool {
		h := hmac.New(sha256.New, []byte("key"))
		_, _ = h.Write([]byte("text"))
		return hmac.Equal(h.Sum(nil), h.Sum(nil))
	}},
	{"crypto/md5", func() bool {
		sum := md5.Sum(nil)
		return sum[0] == 0xd4
	}},
	{"crypto/rand", func() bool {
		b := make([]byte, 16)
		n, err := rand.Read(b)
		return err == nil && n == 16 && b[0]|b[5]|b[9] != 0
	}},
	{"crypto/rsa", func() bool {
		n, _ := new(big.Int).SetString(modulus, 16)
		key := &rsa.PublicKey{N: n, E: 65537}
		signed, _ := hex.DecodeString(signature)
		sum := sha256.Sum256([]byte("text"))
		good := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signed)
		signed[0] ^= 1
		return good == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signed) != nil
	}},
	{"crypto/sha1", func() bool {
		sum := sha1.Sum(nil)
		return sum[0] == 0xda
	}},
	{"crypto/sha256", func() bool {
		sum := sha256.Sum256(nil)
		return sum[0] == 0xe3
	}},
	{"crypto/sha512", func() bool {
		sum := sha512.Sum512(nil)
		return sum[0] == 0xcf
	}},
	{"crypto/subtle", func() bool {
		return subtle.ConstantTimeCompare([]byte("a"), []byte("a")) == 1
	}},
}

// The public halves of an RSA and an EC key, and their signatures of "text".
const (
	ecPoint     = "3f814be5a5fa6d4dafc44f7834e460949a428f8f4a7f4ebd403f3742e26b6914fb33e9491e94c566b7273c2f301333d0dd8f9309dd2b12b86ad63d406bf98a6e"
	ecSignature = "3046022100aa05ed44fa7538f36e696a5aaa4e113850014cacb84189e7147cdd953c253e5d0221009f70ae65d0f0d1f471dc23d07b4e2e7bda6ed2ea5a9a7f75d4bdadd0564c1fc3"
	modulus     = "c8cf48dd0dbd0f75d9c2772055607c1eafad03274915d17b1fb63025743b7b233873450fd3268a6d4ad53285da834b16de1add3598e027ae5203d99dcaa4551dbc2e6c6fa9a6c6a7991627252f05b4b67c4005088d0956797cc22c75682c5323686fcbdc7edd682be11e2c11e95a9c3d6a3e9a96e2ec7029b2b09715d0aa6030beb5f112f7485e1ba95960671283921df6f0d1a00efa957d34d7958df0a4fcf02e1a4d5f885aefadee13b5e0d8520540ad5f42e3071ed616faa1d36aac58659699e9b12c0665a8f3221bf051eb0cd5f76ec211d6336a6633d8c8742c18e087712313f0be674da22870035903a3ba03e463ff76d1721ba323ab116ca318704401"
	signature   = "2029151855120871d90eb3cd1e8be8134d2a8b82232c43bcbecb42e57e7c656fc6e5a4ba3b658b6ee9d638b7294490b668ba55b599334a043b82d5baee192d78f104c168c8cd190082a2eebe4ff3671d3d381db25ec88c232049f564fc2b512ed81efc8244836d4260bcf7d03064dedd77e8aa34b36e7a8b636e732b840a20d1912ca32d988afe4cfd3490bfd1d2a63987030926c114d1cb3b32a075b6a2677d9d7ad94c95059efe0fe767284188237b06c553d1052df95340c3f5f612bf61eb29f661e2d220dfe393d5065df8004d3741c93eb7781764bd6e57093e22bce24351dc645a4c890a3854a11aa7e783aea4d7fc50110b3bae7f16a0fb0d338f153f"
)
