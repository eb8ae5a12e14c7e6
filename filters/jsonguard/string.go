package main

import "unicode/utf8"

// inString reads a byte of a string, between characters.
func (c *checker) inString(b byte) error {
	switch {
	case b == '"' && c.isName:
		return c.endName()
	case b == '"':
		c.endValue()
	case b == '\\':
		c.state = inEscape
	case b < ' ':
		return errSyntax
	case b < utf8.RuneSelf:
		c.add(b)
	default:
		c.wide[0], c.have, c.state = b, 1, inWide
		switch {
		case b&0xe0 == 0xc0:
			c.want = 2
		case b&0xf0 == 0xe0:
			c.want = 3
		case b&0xf8 == 0xf0:
			c.want = 4
		default:
			return errUTF8
		}
	}
	return nil
}

// inCharacter reads a byte of a character that has several, or is an escape.
func (c *checker) inCharacter(b byte) error {
	switch c.state {
	case inWide:
		c.wide[c.have] = b
		if c.have++; b&0xc0 != 0x80 {
			return errUTF8
		}
		if c.have < c.want {
			return nil
		}
		// Too long a form, a surrogate and what is beyond Unicode are no characters.
		if r, n := utf8.DecodeRune(c.wide[:c.want]); r == utf8.RuneError && n == 1 {
			return errUTF8
		}
		c.add(c.wide[:c.want]...)
		c.state = inString
	case inEscape:
		return c.escape(b)
	case inUnicode:
		return c.unicode(b)
	case wantLow:
		if b != '\\' {
			return errSurrogate
		}
		c.state = wantLowU
	case wantLowU:
		if b != 'u' {
			return errSurrogate
		}
		c.unit, c.digits, c.state = 0, 4, inUnicode
	}
	return nil
}

// escape reads the byte behind a backslash.
func (c *checker) escape(b byte) error {
	c.state = inString
	switch b {
	case '"', '\\', '/':
		c.add(b)
	case 'b':
		c.add('\b')
	case 'f':
		c.add('\f')
	case 'n':
		c.add('\n')
	case 'r':
		c.add('\r')
	case 't':
		c.add('\t')
	case 'u':
		c.unit, c.digits, c.state = 0, 4, inUnicode
	default:
		return errSyntax
	}
	return nil
}

// unicode reads a digit of an escape.
func (c *checker) unicode(b byte) error {
	switch {
	case '0' <= b && b <= '9':
		b -= '0'
	case 'a' <= b && b <= 'f':
		b -= 'a' - 10
	case 'A' <= b && b <= 'F':
		b -= 'A' - 10
	default:
		return errSyntax
	}
	c.unit = c.unit<<4 | rune(b)
	if c.digits--; c.digits > 0 {
		return nil
	}
	isHigh, isLow := c.unit>>10 == 0xd800>>10, c.unit>>10 == 0xdc00>>10
	r := c.unit
	switch {
	case (c.high != 0) != isLow:
		return errSurrogate
	case isHigh:
		c.high, c.state = c.unit, wantLow
		return nil
	case isLow:
		r = 0x10000 + (c.high-0xd800)<<10 + (c.unit - 0xdc00)
		c.high = 0
	}
	n := utf8.EncodeRune(c.wide[:], r)
	c.add(c.wide[:n]...)
	c.state = inString
	return nil
}
