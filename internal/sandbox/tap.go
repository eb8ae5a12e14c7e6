package sandbox

import (
	"net/url"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

// Tap is what passed between two filters: the headers of a request on its way in, or of a response on its way out.
type Tap struct {
	Place   int    // 0 is before the first filter, 1 behind it
	Request string // its x-request-id, as it was before the first filter
	Out     bool   // a response
	Headers map[string][]string
}

// tapScript says in Envoy's log what passes, and changes nothing. Names and values are escaped as in a URL's query: what a
// client sends cannot look like another line.
const tapScript = `
local function escape(s)
  return (string.gsub(s, "[^%w._~-]", function(c) return string.format("%%%02X", string.byte(c)) end))
end
local function say(handle, way, id, headers)
  local line = "place=PLACE&way=" .. way .. "&id=" .. escape(id)
  for name, value in pairs(headers) do
    line = line .. "&h" .. escape(name) .. "=" .. escape(value)
  end
  handle:logInfo(line)
end
function envoy_on_request(handle)
  local seen = handle:streamInfo():dynamicMetadata()
  local first = seen:get("wasmfleet.tap")
  local id = first and first["id"]
  if id == nil then
    id = handle:headers():get("x-request-id") or ""
    seen:set("wasmfleet.tap", "id", id)
  end
  say(handle, "in", id, handle:headers())
end
function envoy_on_response(handle)
  local first = handle:streamInfo():dynamicMetadata():get("wasmfleet.tap")
  say(handle, "out", first and first["id"] or "", handle:headers())
end
`

func tapFilter(place int) (*hcmv3.HttpFilter, error) {
	n := strconv.Itoa(place)
	return envoy.Static("tap-"+n, &luav3.Lua{DefaultSourceCode: &corev3.DataSource{
		Specifier: &corev3.DataSource_InlineString{InlineString: strings.Replace(tapScript, "PLACE", n, 1)},
	}})
}

// ParseTap reads an entry of the log of a proxy with Taps; false for every other one.
func ParseTap(e envoy.LogEntry) (t Tap, ok bool) {
	line, ok := strings.CutPrefix(e.Message, "script log: ")
	if e.Logger != "lua" || !ok {
		return t, false
	}
	values, err := url.ParseQuery(line)
	if err != nil {
		return t, false
	}
	if t.Place, err = strconv.Atoi(values.Get("place")); err != nil || t.Place < 0 {
		return t, false
	}
	t.Request, t.Out, t.Headers = values.Get("id"), values.Get("way") == "out", map[string][]string{}
	for name, list := range values {
		if name, ok := strings.CutPrefix(name, "h"); ok {
			t.Headers[name] = list
		}
	}
	return t, true
}
