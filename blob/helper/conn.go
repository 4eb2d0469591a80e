// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// encode returns a valid frame as it is sent: its length in 32 bits, and its bytes.
func encode(f frame) []byte {
	room := 64
	switch f := f.(type) {
	case chunk:
		room += len(f.data)
	case piece:
		room += len(f.data)
	case page:
		room += len(f.infos) * (maxName/4 + 16)
	}
	b := f.append(make([]byte, 4, room))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// readBody reads one frame's bytes into memory of their own. The error is io.EOF if the stream ends before the
// frame, and io.ErrUnexpectedEOF if within it. A length over maxFrame is refused before memory is taken.
func readBody(r *bufio.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, fmt.Errorf("%w: it says it has %d bytes", errMalformed, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return body, nil
}
