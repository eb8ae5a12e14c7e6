package main

import "strings"

// isOpen tells whether a request for this :path needs no key.
//
// Proxies, frameworks and servers disagree on what a path becomes: who decodes %2e, who joins //, who cuts at a semicolon. So nothing
// is normalized here. A path on which they could disagree is never open, whatever it looks like, and needs a key as any other.
func (c *config) isOpen(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	if len(c.open) == 0 || !isPlain(path) {
		return false
	}
	for _, open := range c.open {
		below, isPrefix := strings.CutSuffix(open, "*")
		if path == open && !isPrefix || isPrefix && strings.HasPrefix(path, below) {
			return true
		}
	}
	return false
}

// isPlain tells whether everybody takes the path, which has no query, for the same: it starts with a slash, has only characters that
// stand for themselves, and no segment that is empty (but the last) or of dots alone.
func isPlain(path string) bool {
	if !strings.HasPrefix(path, "/") {
		return false
	}
	dots := true // of the segment so far
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case c == '/':
			// dots is also true of a segment without any character.
			if dots {
				return false
			}
			dots = true
		case c == '.':
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_~!$&'()*+,=:@", c) >= 0:
			dots = false
		default:
			return false
		}
	}
	return !dots || strings.HasSuffix(path, "/")
}
