// Package simulator plays the token services that people run, for tests: each as its vendor documents it.
//
// A file of testdata/endpoints has the request that the service wants, its answer, and what is to come of it; the configuration that
// asks so is the one of the same name in testdata/config/ok. In an answer stand @unix+60@, @rfc3339+60@, @rfc3339micro+60@ and
// @jwt+60@ for a time in 60 seconds and for a token that ends then.
package simulator

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

// Environment is what the variables of the configurations hold.
var Environment = map[string]string{
	"CLIENT_SECRET":   "s3cr+t/&=",
	"AUTH0_SECRET":    "a0-s3cret",
	"IBM_API_KEY":     "ibm-k3y",
	"IDENTITY_HEADER": "853b9a84",
	"ROLE_ID":         "r0le",
	"SECRET_ID":       "s3cret-id",
	"VAULT_TOKEN":     "hvs.s3cret",
	"API_TOKEN":       "k8s-s3cret",
	"GITHUB_APP_JWT":  "eyJ.app.jwt",
	"KEYSTONE_SECRET": "k3y-secret",
	"DOCKER_LOGIN":    "bWU6cHc=",
}

// An Endpoint is a token service and the configuration that asks it.
type Endpoint struct {
	Name     string
	Config   []byte
	Token    string        // that it gives
	Lifetime time.Duration // of that token

	request, answer message
}

// A message is a first line, headers and a body.
type message struct {
	first   string
	headers [][2]string
	body    string
}

// Endpoints reads those of a filter's testdata, at a time.
func Endpoints(testdata string, now time.Time) ([]Endpoint, error) {
	files, err := filepath.Glob(filepath.Join(testdata, "endpoints", "*.txtar"))
	if err != nil {
		return nil, err
	}
	var endpoints []Endpoint
	for _, file := range files {
		e, err := read(testdata, file, now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		endpoints = append(endpoints, e)
	}
	return endpoints, nil
}

func read(testdata, file string, now time.Time) (Endpoint, error) {
	e := Endpoint{Name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
	archive, err := txtar.ParseFile(file)
	if err != nil {
		return e, err
	}
	if e.Config, err = os.ReadFile(filepath.Join(testdata, "config", "ok", e.Name+".json")); err != nil {
		return e, err
	}
	for _, f := range archive.Files {
		text := at(now, strings.TrimSuffix(string(f.Data), "\n"))
		switch f.Name {
		case "request":
			e.request = parse(text)
		case "answer":
			e.answer = parse(text)
		case "want":
			token, lifetime, _ := strings.Cut(text, " ")
			e.Token = token
			if e.Lifetime, err = time.ParseDuration(lifetime); err != nil {
				return e, err
			}
		default:
			return e, fmt.Errorf("%q is no part of an endpoint. want request, answer and want", f.Name)
		}
	}
	return e, nil
}

func parse(text string) message {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	m := message{first: lines[0], body: body}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		m.headers = append(m.headers, [2]string{name, value})
	}
	return m
}

var placeholder = regexp.MustCompile(`@([a-z0-9]+)([+-][0-9]+)@`)

func at(now time.Time, text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(s string) string {
		parts := placeholder.FindStringSubmatch(s)
		seconds, _ := strconv.Atoi(parts[2])
		t := now.Truncate(time.Second).Add(time.Duration(seconds) * time.Second).UTC()
		switch parts[1] {
		case "unix":
			return strconv.FormatInt(t.Unix(), 10)
		case "rfc3339":
			return t.Format(time.RFC3339)
		case "rfc3339micro":
			return t.Format("2006-01-02T15:04:05.000000Z07:00")
		case "jwt":
			encode := base64.RawURLEncoding.EncodeToString
			return encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, t.Unix())) + ".c2lnbmF0dXJl"
		}
		return s
	})
}

// Answer is the status, the headers and the body that the service gives.
func (e Endpoint) Answer() (status string, headers [][2]string, body string) {
	return e.answer.first, e.answer.headers, e.answer.body
}

// Check says what is wrong with a request; nothing, when it is what the service wants.
func (e Endpoint) Check(line string, header func(name string) string, body string) error {
	if line != e.request.first {
		return fmt.Errorf("%s: want %q, got %q", e.Name, e.request.first, line)
	}
	for _, h := range e.request.headers {
		if got := header(h[0]); got != h[1] {
			return fmt.Errorf("%s: want %s: %q, got %q", e.Name, h[0], h[1], got)
		}
	}
	if body != e.request.body {
		return fmt.Errorf("%s: want the body %q, got %q", e.Name, e.request.body, body)
	}
	return nil
}

// Path is what the service is asked at.
func (e Endpoint) Path() string {
	_, path, _ := strings.Cut(e.request.first, " ")
	return path
}

// ServeHTTP answers, and refuses a request that is not what the service wants as OAuth does.
func (e Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = e.Check(r.Method+" "+r.URL.RequestURI(), r.Header.Get, string(body))
	}
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client","error_description":"`+base64.StdEncoding.EncodeToString([]byte(err.Error()))+`"}`)
		return
	}
	for _, h := range e.answer.headers {
		w.Header().Set(h[0], h[1])
	}
	status, _ := strconv.Atoi(e.answer.first)
	w.WriteHeader(status)
	fmt.Fprint(w, e.answer.body)
}
