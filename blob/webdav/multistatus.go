// SPDX-License-Identifier: Apache-2.0

package webdav

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a multistatus (RFC 4918, section 13). What is longer is an attack, or no WebDAV.
const (
	maxPieceBytes = 64 << 10 // one tag, with its attributes, or text between tags
	maxNesting    = 16
)

var maxListBytes int64 = 1 << 30

// entry is what a multistatus says of one resource.
type entry struct {
	path       string // decoded, as the server writes it
	collection bool
	sizeBytes  int64 // -1: not said
	modTime    time.Time
	code       int // of the resource as a whole; 0: none
	found      bool
}

var errListed = errors.New("the server's list cannot be used")

// parseMultistatus calls each for every response element. It takes memory for one of them, whatever it reads. A list without
// its end is io.ErrUnexpectedEOF, or the reader's error.
func parseMultistatus(r io.Reader, each func(entry) error) error {
	in := &pieces{in: bufio.NewReaderSize(io.LimitReader(r, maxListBytes), 16<<10)}
	p := parser{pieces: in, xml: xml.NewDecoder(in), each: each}
	err := p.run()
	if _, syntax := errors.AsType[*xml.SyntaxError](err); err == io.EOF || syntax {
		switch {
		case in.total >= maxListBytes:
			return fmt.Errorf("%w: it is longer than %d bytes", errListed, maxListBytes)
		case in.err == io.EOF:
			return io.ErrUnexpectedEOF
		case in.err != nil:
			return in.err
		}
		return fmt.Errorf("%w: %.200q", errListed, err.Error())
	}
	return err
}

// pieces gives its bytes one by one, as the XML decoder wants them, and no more than a bound between two tokens.
type pieces struct {
	in    *bufio.Reader
	piece int
	total int64
	err   error
}

func (p *pieces) ReadByte() (byte, error) {
	if p.piece++; p.piece > maxPieceBytes {
		return 0, fmt.Errorf("%w: a piece of it is longer than %d bytes", errListed, maxPieceBytes)
	}
	c, err := p.in.ReadByte()
	if err != nil {
		p.err = err
		return 0, err
	}
	p.total++
	return c, nil
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c, err := p.ReadByte()
	if err != nil {
		return 0, err
	}
	b[0] = c
	return 1, nil
}

type parser struct {
	pieces *pieces
	xml    *xml.Decoder
	each   func(entry) error

	open []string // local names of the open elements of the namespace DAV:, "" for others
	text strings.Builder
	now  entry
	prop entry // of the open propstat
}

func (p *parser) run() error {
	for {
		p.pieces.piece = 0
		token, err := p.xml.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			err = p.start(token.Name)
		case xml.EndElement:
			if err = p.end(); err == nil && len(p.open) == 0 {
				return nil
			}
		case xml.CharData:
			if p.text.Len()+len(token) > maxPieceBytes {
				return fmt.Errorf("%w: a text in it is longer than %d bytes", errListed, maxPieceBytes)
			}
			p.text.Write(token)
		case xml.Directive:
			return fmt.Errorf("%w: it declares a document type", errListed)
		}
		if err != nil {
			return err
		}
	}
}

func (p *parser) start(name xml.Name) error {
	local := ""
	if name.Space == "DAV:" {
		local = name.Local
	}
	if len(p.open) == 0 && local != "multistatus" {
		return fmt.Errorf("%w: it is no WebDAV answer", errListed)
	}
	if len(p.open) == maxNesting {
		return fmt.Errorf("%w: it is nested too deeply", errListed)
	}
	p.open = append(p.open, local)
	p.text.Reset()
	switch {
	case p.at("response"):
		p.now = entry{sizeBytes: -1}
	case p.at("response", "propstat"):
		p.prop = entry{sizeBytes: -1}
	case p.at("response", "propstat", "prop", "resourcetype", "collection"):
		p.prop.collection = true
	}
	return nil
}

// at reports whether exactly these elements of the multistatus are open.
func (p *parser) at(names ...string) bool { return slices.Equal(p.open[1:], names) }

func (p *parser) end() (err error) {
	text := strings.TrimSpace(p.text.String())
	p.text.Reset()
	switch {
	case p.at("response"):
		err = p.response()
	case p.at("response", "href"):
		if p.now.path != "" {
			return fmt.Errorf("%w: two resources in one", errListed)
		}
		p.now.path, err = pathOf(text)
	case p.at("response", "status"):
		p.now.code, err = statusOf(text)
	case p.at("response", "propstat"):
		if p.prop.code == http.StatusOK {
			path, code := p.now.path, p.now.code
			p.now = p.prop
			p.now.path, p.now.code, p.now.found = path, code, true
		}
	case p.at("response", "propstat", "status"):
		p.prop.code, err = statusOf(text)
	case p.at("response", "propstat", "prop", "getcontentlength"):
		if text != "" {
			p.prop.sizeBytes, err = sizeOf(text)
		}
	case p.at("response", "propstat", "prop", "getlastmodified"):
		p.prop.modTime, _ = http.ParseTime(text) // a clock that nothing depends on
	}
	p.open = p.open[:len(p.open)-1]
	return err
}

func (p *parser) response() error {
	if p.now.path == "" {
		return fmt.Errorf("%w: a resource has no name", errListed)
	}
	return p.each(p.now)
}

func pathOf(href string) (string, error) {
	u, err := url.Parse(href)
	if err != nil || !strings.HasPrefix(u.Path, "/") || strings.Contains(u.Path+"/", "/../") || strings.Contains(u.Path+"/", "/./") {
		return "", fmt.Errorf("%w: %.100q is not the address of a resource", errListed, href)
	}
	return u.Path, nil
}

func statusOf(text string) (int, error) {
	fields := strings.Fields(text)
	if len(fields) >= 2 && strings.HasPrefix(fields[0], "HTTP/") {
		if code, err := strconv.Atoi(fields[1]); err == nil && code >= 100 && code < 600 {
			return code, nil
		}
	}
	return 0, fmt.Errorf("%w: %.100q is not a status", errListed, text)
}

func sizeOf(text string) (int64, error) {
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil || size < 0 {
		return 0, fmt.Errorf("%w: %.100q is not a size", errListed, text)
	}
	return size, nil
}
