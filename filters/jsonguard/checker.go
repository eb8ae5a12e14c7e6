package main

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// A checker reads one JSON document in pieces of any size, strictly: RFC 8259 in UTF-8, no name twice in an object, nothing behind the
// document, and no deeper than allowed. On the way it puts something else in place of the values that pointers point at.
//
// It keeps the open objects and arrays, and of the document nothing but the name that it reads.
type checker struct {
	side    *side
	state   state
	levels  []level
	read    int // bytes
	names   int // in open objects
	matched uint64

	redacted int
	skipping bool // the value that began with so many levels open
	skipFrom int

	isName bool // of the string that it reads
	name   []byte
	hash   uint64 // of all of the name
	rest   string // of a literal
	digits int    // of an escape, to come
	unit   rune   // of an escape, so far
	high   rune   // the first half of a surrogate pair, which wants its second
	wide   [utf8.UTFMax]byte
	have   int // bytes of wide
	want   int
}

// A state is what may come next.
type state uint8

const (
	value      state = iota
	valueOrEnd       // of an array
	nameOrEnd        // of an object
	nameNext         // after a comma
	colon            //
	commaOrEnd       //
	done             // white space
	inString         //
	inWide           // a character of several bytes
	inEscape         //
	inUnicode        // the digits of an escape
	wantLow          // the backslash of the second half of a pair
	wantLowU         // its u
	inLiteral        //
	afterMinus       // of a number
	afterZero        //
	inInteger        //
	afterPoint       //
	inFraction       //
	afterE           //
	afterESign       //
	inExponent       //
)

// A level is an open object or array.
type level struct {
	isObject bool
	matched  uint64 // pointers that lead here, and further
	index    int    // of the next element of an array
	few      []uint64
	many     map[uint64]struct{} // in place of few, when they are not
}

const (
	// maxNames bounds what open objects take of the memory, which a worker never gives back.
	maxNames = 65536
	// fewNames is how many are compared one by one.
	fewNames = 16
)

// What is wrong with a document. None of them quotes it.
var (
	errSyntax    = errors.New("it is not JSON")
	errUTF8      = errors.New("it is not UTF-8")
	errSurrogate = errors.New("it has half a surrogate pair")
	errDuplicate = errors.New("an object has a name twice")
	errTrailing  = errors.New("something follows the document")
	errTooDeep   = errors.New("it is nested too deep")
	errTooLarge  = errors.New("it is too large")
	errNames     = errors.New("its objects have too many names")
	errCut       = errors.New("it ends before the document does")
)

func newChecker(s *side) *checker {
	return &checker{side: s, matched: 1<<len(s.pointers) - 1} // 64 pointers are all ones
}

// write reads the next piece, and appends what is left of it, if there is anything to redact.
func (c *checker) write(piece, out []byte) ([]byte, error) {
	if c.read+len(piece) > c.side.maxBytes {
		return out, errTooLarge
	}
	from := 0 // of what is not in out yet
	for i, b := range piece {
		wasSkipping := c.skipping
		if c.state >= afterMinus && !isOfNumber(b) {
			// A number ends with the byte behind it, all else with its last one.
			if err := c.endNumber(); err != nil {
				return out, c.at(err)
			}
			if wasSkipping && !c.skipping {
				from, wasSkipping = i, false
			}
		}
		if err := c.next(b); err != nil {
			return out, c.at(err)
		}
		c.read++
		if wasSkipping == c.skipping {
			continue
		}
		if c.skipping {
			out = append(append(out, piece[from:i]...), c.side.with...)
		} else {
			from = i + 1
		}
	}
	if len(c.side.pointers) > 0 && !c.skipping {
		out = append(out, piece[from:]...)
	}
	return out, nil
}

// end is for after the last piece.
func (c *checker) end() error {
	if c.state >= afterMinus {
		if err := c.endNumber(); err != nil {
			return c.at(err)
		}
	}
	if c.state != done {
		return c.at(errCut)
	}
	return nil
}

func (c *checker) at(err error) error {
	return errors.New(err.Error() + ", at byte " + strconv.Itoa(c.read))
}

// next reads a byte.
func (c *checker) next(b byte) error {
	switch c.state {
	case inString:
		return c.inString(b)
	case inWide, inEscape, inUnicode, wantLow, wantLowU:
		return c.inCharacter(b)
	case inLiteral:
		if b != c.rest[0] {
			return errSyntax
		}
		if c.rest = c.rest[1:]; c.rest == "" {
			c.endValue()
		}
		return nil
	}
	if c.state >= afterMinus {
		return c.inNumber(b)
	}
	if b == ' ' || b == '\n' || b == '\r' || b == '\t' {
		return nil
	}
	switch c.state {
	case valueOrEnd:
		if b == ']' {
			return c.close()
		}
		return c.begin(b)
	case nameOrEnd, nameNext:
		if b == '"' {
			c.isName, c.name, c.hash, c.state = true, c.name[:0], fnvOffset, inString
			return nil
		}
		if b == '}' && c.state == nameOrEnd {
			return c.close()
		}
		return errSyntax
	case colon:
		if b != ':' {
			return errSyntax
		}
		c.state = value
		return nil
	case commaOrEnd:
		isObject := c.levels[len(c.levels)-1].isObject
		switch {
		case b == ',' && isObject:
			c.state = nameNext
		case b == ',':
			c.state = value
		case b == '}' && isObject, b == ']' && !isObject:
			return c.close()
		default:
			return errSyntax
		}
		return nil
	case done:
		return errTrailing
	default:
		return c.begin(b)
	}
}

// begin reads the first byte of a value.
func (c *checker) begin(b byte) error {
	matched := c.matched // of the document
	if n := len(c.levels); n > 0 {
		if l := &c.levels[n-1]; l.isObject {
			if matched = l.matched; matched != 0 {
				matched = c.follow(matched, string(c.name), n)
			}
		} else {
			if matched = l.matched; matched != 0 {
				matched = c.follow(matched, strconv.Itoa(l.index), n)
			}
			l.index++
		}
		if !c.skipping && c.ends(matched, n) {
			c.skipping, c.skipFrom = true, n
			c.redacted++
		}
	}
	switch {
	case b == '{' || b == '[':
		if len(c.levels) == c.side.maxDepth {
			return errTooDeep
		}
		c.levels = append(c.levels, level{isObject: b == '{', matched: matched})
		c.state = valueOrEnd
		if b == '{' {
			c.state = nameOrEnd
		}
	case b == '"':
		c.isName, c.state = false, inString
	case b == 't':
		c.rest, c.state = "rue", inLiteral
	case b == 'f':
		c.rest, c.state = "alse", inLiteral
	case b == 'n':
		c.rest, c.state = "ull", inLiteral
	case b == '-':
		c.state = afterMinus
	case b == '0':
		c.state = afterZero
	case '1' <= b && b <= '9':
		c.state = inInteger
	default:
		return errSyntax
	}
	return nil
}

// follow are those of the pointers whose part at this depth is the name or index.
func (c *checker) follow(matched uint64, token string, depth int) (further uint64) {
	for i := 0; matched>>i != 0; i++ {
		if matched>>i&1 == 0 {
			continue
		}
		if p := c.side.pointers[i]; len(p) >= depth && (p[depth-1] == token || p[depth-1] == each) {
			further |= 1 << i
		}
	}
	return further
}

// ends tells whether one of the pointers points here.
func (c *checker) ends(matched uint64, depth int) bool {
	for i := 0; matched>>i != 0; i++ {
		if matched>>i&1 == 1 && len(c.side.pointers[i]) == depth {
			return true
		}
	}
	return false
}

// close is the end of an object or array.
func (c *checker) close() error {
	l := &c.levels[len(c.levels)-1]
	c.names -= len(l.few) + len(l.many)
	*l = level{}
	c.levels = c.levels[:len(c.levels)-1]
	c.endValue()
	return nil
}

func (c *checker) endValue() {
	c.state = commaOrEnd
	if len(c.levels) == 0 {
		c.state = done
	}
	if c.skipping && len(c.levels) == c.skipFrom {
		c.skipping = false
	}
}

// endName is the end of a name: it must be new to its object.
func (c *checker) endName() error {
	l := &c.levels[len(c.levels)-1]
	c.state = colon
	if c.names++; c.names > maxNames {
		return errNames
	}
	if l.many != nil {
		if _, ok := l.many[c.hash]; ok {
			return errDuplicate
		}
		l.many[c.hash] = struct{}{}
		return nil
	}
	for _, other := range l.few {
		if other == c.hash {
			return errDuplicate
		}
	}
	if l.few = append(l.few, c.hash); len(l.few) > fewNames {
		l.many = map[uint64]struct{}{}
		for _, hash := range l.few {
			l.many[hash] = struct{}{}
		}
		l.few = nil
	}
	return nil
}

// FNV-1a with 64 bits. Equal names have equal hashes, so a name that is there twice is found. Two names with one hash are taken for one,
// which chance does not bring about and who does it on purpose harms nobody else.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// add adds decoded bytes to a name.
func (c *checker) add(b ...byte) {
	if !c.isName {
		return
	}
	for _, b := range b {
		c.hash = (c.hash ^ uint64(b)) * fnvPrime
	}
	// A name that is longer than a pointer may be is none of its parts.
	if len(c.name) <= maxPointer {
		c.name = append(c.name, b...)
	}
}

func isOfNumber(b byte) bool {
	return '0' <= b && b <= '9' || b == '.' || b == 'e' || b == 'E' || b == '+' || b == '-'
}

func (c *checker) inNumber(b byte) error {
	isDigit := '0' <= b && b <= '9'
	switch {
	case c.state == afterMinus && b == '0':
		c.state = afterZero
	case c.state == afterMinus && isDigit:
		c.state = inInteger
	case c.state == inInteger && isDigit, c.state == inFraction && isDigit, c.state == inExponent && isDigit:
	case (c.state == afterZero || c.state == inInteger) && b == '.':
		c.state = afterPoint
	case c.state == afterPoint && isDigit:
		c.state = inFraction
	case (c.state == afterZero || c.state == inInteger || c.state == inFraction) && (b == 'e' || b == 'E'):
		c.state = afterE
	case c.state == afterE && (b == '+' || b == '-'):
		c.state = afterESign
	case (c.state == afterE || c.state == afterESign) && isDigit:
		c.state = inExponent
	default:
		return errSyntax
	}
	return nil
}

func (c *checker) endNumber() error {
	if c.state != afterZero && c.state != inInteger && c.state != inFraction && c.state != inExponent {
		return errSyntax
	}
	c.endValue()
	return nil
}
