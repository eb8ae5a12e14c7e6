// Command ordinary is a filter that only the tests use: it imports what people import, each with something that
// it must get right in Envoy.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"container/heap"
	"container/list"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"html"
	"io"
	"iter"
	"log"
	"maps"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/template"
	"time"
	"unicode/utf8"

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
			proxywasm.LogCritical("ordinary: wrong: " + c.name)
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
	{"bufio", func() bool {
		s := bufio.NewScanner(strings.NewReader("a\nb"))
		return s.Scan() && s.Scan() && s.Text() == "b"
	}},
	{"bytes", func() bool {
		return bytes.Equal(bytes.ToUpper([]byte("a")), []byte("A"))
	}},
	{"cmp", func() bool {
		return cmp.Compare(1, 2) < 0
	}},
	{"compress/gzip", func() bool {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte("text"))
		_ = w.Close()
		r, err := gzip.NewReader(&b)
		if err != nil {
			return false
		}
		text, err := io.ReadAll(r)
		return err == nil && string(text) == "text"
	}},
	{"container/heap", func() bool {
		h := &ints{3, 1, 2}
		heap.Init(h)
		return heap.Pop(h) == 1
	}},
	{"container/list", func() bool {
		l := list.New()
		l.PushBack(1)
		return l.Len() == 1
	}},
	{"context", func() bool {
		ctx := context.WithValue(context.Background(), key{}, "v")
		return ctx.Value(key{}) == "v"
	}},
	{"embed", func() bool {
		return words == "embedded\n"
	}},
	{"encoding/base64", func() bool {
		return base64.StdEncoding.EncodeToString([]byte("a")) == "YQ=="
	}},
	{"encoding/binary", func() bool {
		return binary.BigEndian.Uint16([]byte{1, 2}) == 258
	}},
	{"encoding/csv", func() bool {
		r, err := csv.NewReader(strings.NewReader("a,b")).Read()
		return err == nil && len(r) == 2
	}},
	{"encoding/hex", func() bool {
		return hex.EncodeToString([]byte{255}) == "ff"
	}},
	{"encoding/json", func() bool {
		var v struct{ A []int }
		err := json.Unmarshal([]byte(`{"A":[1,2]}`), &v)
		out, err2 := json.Marshal(v)
		return err == nil && err2 == nil && string(out) == `{"A":[1,2]}`
	}},
	{"encoding/xml", func() bool {
		var v struct{ A string }
		return xml.Unmarshal([]byte("<x><A>b</A></x>"), &v) == nil && v.A == "b"
	}},
	{"errors", func() bool {
		return errors.Is(fmt.Errorf("x: %w", io.EOF), io.EOF)
	}},
	{"fmt", func() bool {
		return fmt.Sprintf("%05.2f %v", 3.14159, []string{"a"}) == "03.14 [a]"
	}},
	{"hash/crc32", func() bool {
		return crc32.ChecksumIEEE([]byte("a")) == 0xe8b7be43
	}},
	{"hash/fnv", func() bool {
		h := fnv.New32a()
		_, _ = h.Write([]byte("a"))
		return h.Sum32() == 0xe40c292c
	}},
	{"html", func() bool {
		return html.EscapeString("<") == "&lt;"
	}},
	{"io", func() bool {
		text, err := io.ReadAll(io.LimitReader(strings.NewReader("abc"), 2))
		return err == nil && string(text) == "ab"
	}},
	{"iter", func() bool {
		var seq iter.Seq[int] = slices.Values([]int{1, 2})
		sum := 0
		for v := range seq {
			sum += v
		}
		return sum == 3
	}},
	{"log", func() bool {
		log.Print("a line of the package log")
		return true
	}},
	{"maps", func() bool {
		return len(slices.Collect(maps.Keys(map[int]int{1: 2}))) == 1
	}},
	{"math", func() bool {
		return math.Sqrt(4) == 2 && math.IsNaN(math.NaN())
	}},
	{"math/big", func() bool {
		return new(big.Int).Exp(big.NewInt(2), big.NewInt(100), nil).String() == "1267650600228229401496703205376"
	}},
	{"math/bits", func() bool {
		hi, lo := bits.Mul64(1<<63, 6)
		return hi == 3 && lo == 0
	}},
	{"math/rand/v2", func() bool {
		return rand.IntN(1) == 0
	}},
	{"net/netip", func() bool {
		a, err := netip.ParseAddrPort("[::1]:80")
		return err == nil && a.Addr().IsLoopback()
	}},
	{"net/url", func() bool {
		u, err := url.Parse("https://a/b?c=d")
		return err == nil && u.Query().Get("c") == "d"
	}},
	{"os", func() bool {
		return os.Getenv("NOWHERE") == ""
	}},
	{"path", func() bool {
		return path.Join("a", "../b") == "b"
	}},
	{"reflect", func() bool {
		return reflect.DeepEqual([]int{1}, []int{1})
	}},
	{"regexp", func() bool {
		return regexp.MustCompile(`^(\w+)-(\d+)$`).FindStringSubmatch("abc-12")[2] == "12"
	}},
	{"slices", func() bool {
		return slices.Max([]int{1, 3, 2}) == 3
	}},
	{"sort", func() bool {
		s := []int{2, 1}
		sort.Ints(s)
		return s[0] == 1
	}},
	{"strconv", func() bool {
		f, err := strconv.ParseFloat("1e-3", 64)
		return err == nil && f == 0.001
	}},
	{"strings", func() bool {
		return strings.EqualFold("A", "a")
	}},
	{"sync", func() bool {
		var once sync.Once
		n := 0
		once.Do(func() { n++ })
		once.Do(func() { n++ })
		return n == 1
	}},
	{"sync/atomic", func() bool {
		var n atomic.Int64
		return n.Add(2) == 2
	}},
	{"text/template", func() bool {
		var b bytes.Buffer
		err := template.Must(template.New("").Parse("{{range .}}{{.}};{{end}}")).Execute(&b, []int{1, 2})
		return err == nil && b.String() == "1;2;"
	}},
	{"time", func() bool {
		t, err := time.Parse(time.RFC3339, "2026-01-02T03:04:05Z")
		return err == nil && t.Unix() == 1767323045 && time.Since(t) != 0
	}},
	{"unicode/utf8", func() bool {
		return utf8.RuneCountInString("é") == 1
	}},
}

//go:embed words.txt
var words string

type key struct{}

// ints implements heap.Interface.
type ints []int

func (h ints) Len() int           { return len(h) }
func (h ints) Less(i, j int) bool { return h[i] < h[j] }
func (h ints) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ints) Push(x any)        { *h = append(*h, x.(int)) }
func (h *ints) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// sum is a loop of which LLVM makes a 128-bit product: compiler-rt must be linked.
func init() {
	checks = append(checks, struct {
		name string
		ok   func() bool
	}{"a 128-bit product", func() bool {
		n, _ := strconv.ParseUint(os.Getenv("NOWHERE")+"100000", 10, 64)
		var sum uint64
		for i := range n {
			sum += i
		}
		return sum == 4999950000
	}})
}
