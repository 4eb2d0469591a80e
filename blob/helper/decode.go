// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// errMalformed means that bytes are no frame that may come from this end.
var errMalformed = errors.New("malformed frame")

// reader takes fields from the front of a frame. After one that is not there all are zero.
type reader struct {
	rest   cryptobyte.String
	failed bool
}

// decodeRequest reads what a client sends, without the length in front. What it returns aliases body.
func decodeRequest(body []byte) (frame, error) {
	r := &reader{rest: body}
	return r.end(r.request())
}

// decodeAnswer reads what a helper sends, likewise.
func decodeAnswer(body []byte) (frame, error) {
	r := &reader{rest: body}
	return r.end(r.answer())
}

// end refuses what is too short, too long, or out of bounds: each frame has one encoding.
func (r *reader) end(f frame) (frame, error) {
	if f == nil || r.failed || !r.rest.Empty() || !f.valid() {
		return nil, errMalformed
	}
	return f, nil
}

func (r *reader) request() frame {
	switch r.uint8() {
	case kindHello:
		r.magic()
		return hello{r.uint16(), r.uint64()}
	case kindPut:
		return put{r.uint64(), r.uint32(), r.string()}
	case kindChunk:
		return chunk{r.uint64(), r.all()}
	case kindRead:
		return read{r.uint64(), r.uint64(), r.uint32(), r.string()}
	case kindList:
		return list{r.uint64(), r.string()}
	case kindDelete:
		return remove{r.uint64(), r.string()}
	case kindMore:
		return more{r.uint64()}
	case kindCancel:
		return cancel{r.uint64()}
	case kindPing:
		return ping{}
	}
	return nil
}

func (r *reader) answer() frame {
	switch r.uint8() {
	case kindWelcome:
		r.magic()
		return welcome{r.uint16(), r.string()}
	case kindRefuse:
		r.magic()
		return refuse{code(r.uint8()), r.string()}
	case kindPiece:
		return piece{r.uint64(), r.all()}
	case kindPage:
		return page{r.uint64(), r.infos()}
	case kindDone:
		return done{r.uint64(), code(r.uint8()), r.string()}
	case kindPong:
		return pong{}
	}
	return nil
}

// infos takes no memory for more objects than there are bytes of.
func (r *reader) infos() []info {
	const least = 2 + 1 + 8 + 8
	n := int(r.uint16())
	if n > maxPage || n > len(r.rest)/least {
		r.failed = true
		return nil
	}
	infos := make([]info, n)
	for i := range infos {
		infos[i] = info{r.string(), r.uint64(), r.uint64()}
	}
	return infos
}

func (r *reader) magic() {
	var got []byte
	if !r.rest.ReadBytes(&got, len(magic)) || string(got) != magic {
		r.failed = true
	}
}

func (r *reader) uint8() (v uint8) {
	r.failed = !r.rest.ReadUint8(&v) || r.failed
	return v
}

func (r *reader) uint16() (v uint16) {
	r.failed = !r.rest.ReadUint16(&v) || r.failed
	return v
}

func (r *reader) uint32() (v uint32) {
	r.failed = !r.rest.ReadUint32(&v) || r.failed
	return v
}

func (r *reader) uint64() (v uint64) {
	r.failed = !r.rest.ReadUint64(&v) || r.failed
	return v
}

func (r *reader) string() string {
	var s cryptobyte.String
	r.failed = !r.rest.ReadUint16LengthPrefixed(&s) || r.failed
	return string(s)
}

func (r *reader) all() []byte {
	rest := r.rest
	r.rest = nil
	return rest
}
