//go:build envoy

package dev

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"context"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite docs/playground.png")

// browser gives a context of a real headless browser, in which every exception of the page fails the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	out, err := exec.Command(root + "/toolchain/browser.sh").Output()
	require.NoError(t, err, `no browser. run "toolchain/browser.sh", which installs Debian's, or set BROWSER=/path`)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(strings.TrimSpace(string(out))), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*patience)
	t.Cleanup(cancel)
	return ctx
}

// shows waits until the element has the text.
func shows(selector, text string) chromedp.Action {
	return chromedp.Poll(fmt.Sprintf("document.querySelector(%q)?.textContent.includes(%q)", selector, text), nil, chromedp.WithPollingTimeout(patience))
}

// fits fails where the page is wider than its window.
func fits(wide *bool) chromedp.Action {
	return chromedp.Evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth", wide)
}

// An author clicks an example and sees what the filter did, breaks the configuration and sees why, saves and sees the new answer.
func TestPlayground(t *testing.T) {
	d := start(t)
	ctx := browser(t)
	var narrow, wide bool
	var errs string
	require.NoError(t, chromedp.Run(ctx,
		emulation.SetDeviceMetricsOverride(1440, 900, 1, false),
		chromedp.Navigate(d.page),
		chromedp.Click("#examples button", chromedp.ByQuery),
		shows("#answer", "as the example wants"),
		shows("#answer", "x-one: here"),
		shows("#trace .gone", "− x-drop: 1"),
		shows("#trace .changed", "~ x-mine: mine → changed"),
		shows("#trace .added", "+ x-one: here"),
		fits(&wide),
	), d.said())
	require.False(t, wide, "1440 px")
	screenshot(t, ctx)

	require.NoError(t, chromedp.Run(ctx,
		// Broken JSON, then what the schema refuses, then what only the filter itself does.
		chromedp.SetValue("#config", "{\n \"v\": }", chromedp.ByQuery), typed(), shows("#verdict", "line 2:"),
		chromedp.SetValue("#config", `{"w": "x"}`, chromedp.ByQuery), typed(), shows("#verdict", "[schema]"),
		chromedp.SetValue("#config", `{"v": "refuse"}`, chromedp.ByQuery), typed(), shows("#verdict", "v: want another"),
		chromedp.SetValue("#config", `{"v": "other"}`, chromedp.ByQuery), typed(), shows("#verdict", "the filter takes it"),
	), d.said())

	mark := d.edit("filters/one/main.go", `"here"`, `"there"`)
	d.awaits(mark, "one: in service ")
	require.NoError(t, chromedp.Run(ctx,
		// By the keyboard alone: from the path, Enter sends.
		chromedp.SetValue("#path", "/deny", chromedp.ByQuery), chromedp.Focus("#path", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter),
		shows("#answer", "x-why: denied"), shows("#answer", "the upstream did not see it"), shows("#trace h3", "answered"),
		chromedp.SetValue("#path", "/", chromedp.ByQuery), chromedp.Focus("#path", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter),
		shows("#answer", "x-one: there"),
		chromedp.SetValue("#path", "/panic", chromedp.ByQuery), chromedp.Focus("#path", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter),
		shows("#trace .problem", "one: trap in OnHttpRequestHeaders: panic: boom"), shows("#trace h3", "failed"),
	), d.said())

	d.edit("filters/one/main.go", "var turns int", "var turns string")
	require.NoError(t, chromedp.Run(ctx,
		shows("#wrong", "filters/one/main.go:"),
		emulation.SetDeviceMetricsOverride(390, 844, 1, true), fits(&narrow),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
		chromedp.Evaluate(lowContrast, &errs),
	), d.said())
	require.False(t, narrow, "390 px")
	require.Empty(t, errs, "dark")
	require.NoError(t, chromedp.Run(ctx,
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}),
		chromedp.Evaluate(lowContrast, &errs),
	))
	require.Empty(t, errs, "light")
}

// typed tells the page that its reader has typed a configuration.
func typed() chromedp.Action {
	return chromedp.Evaluate("document.querySelector('#config').dispatchEvent(new Event('input'))", nil)
}

// lowContrast names the elements whose text has less than 4.5 to 1 against what is behind it (WCAG 2 AA).
const lowContrast = `(() => {
  const light = c => c.match(/[\d.]+/g).slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$/.test(c)) return c; } };
  return [...document.querySelectorAll("body *")].filter(e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .filter(e => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x); return (a + .05) / (b + .05) < 4.5; })
    .map(e => e.tagName + "#" + e.id + "." + e.className + " " + e.textContent.slice(0, 30)).join("; ");
})()`

// screenshot takes the picture of docs/authoring.md, with -update alone: it differs with fonts.
func screenshot(t *testing.T, ctx context.Context) {
	if !*update {
		return
	}
	var png []byte
	require.NoError(t, chromedp.Run(ctx, emulation.SetDeviceMetricsOverride(1100, 900, 1, false), chromedp.CaptureScreenshot(&png),
		emulation.SetDeviceMetricsOverride(1440, 900, 1, false)))
	require.NoError(t, os.WriteFile(root+"/docs/playground.png", png, 0o644))
}
