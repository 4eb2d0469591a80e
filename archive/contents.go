// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// decoders holds zstd decoders; each is used by one goroutine at a time.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(format.MaxRecordSize), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic("archive: zstd: " + err.Error())
	}
	return d
}}

// decode turns an encoded content into the content, which has size bytes, or fails. buf may be used for it.
func decode(coding format.Coding, size uint32, encoded, buf []byte) ([]byte, error) {
	if coding == format.Raw {
		return encoded, nil
	}
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	if uint32(cap(buf)) < size {
		buf = make([]byte, 0, size)
	}
	// The decoder appends within the capacity it is given, so a forged frame cannot make it take more.
	plain, err := d.DecodeAll(encoded, buf[:0:size])
	if err != nil || uint32(len(plain)) != size {
		return nil, fmt.Errorf("%w: content does not decompress", ErrDamaged)
	}
	return plain, nil
}

var errNoPack = fmt.Errorf("%w: a content is in no pack", ErrDamaged)

// content reads one content, with one range read. It is safe for concurrent use while nothing changes the catalog.
func (a *Archive) content(ctx context.Context, id format.ContentID) ([]byte, error) {
	l, ok := a.catalog.contents[id]
	if !ok {
		return nil, errNoPack
	}
	sealed := make([]byte, l.sealed())
	if _, err := a.readPack(ctx, l.pack, sealed, int64(l.offset)); err != nil {
		return nil, err
	}
	return a.openContent(id, l, sealed, nil)
}

// readPack fills p from a pack, or says how much of it there is and why there is no more.
func (a *Archive) readPack(ctx context.Context, pack uint32, p []byte, offset int64) (int, error) {
	n, err := a.store.ReadAt(ctx, a.packName(pack), p, offset)
	for i := 0; n < len(p) && i < len(a.others); i++ { // what it reads there opens only as itself
		if m, err := a.others[i].ReadAt(ctx, a.packName(pack), p, offset); err == nil && m == len(p) {
			return m, nil
		}
	}
	switch {
	case n == len(p):
		return n, nil
	case errors.Is(err, blob.ErrNotFound):
		err = fmt.Errorf("%w: the pack is missing", ErrDamaged)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: the pack is truncated", ErrDamaged)
	}
	return n, &objectError{a.packName(pack), err}
}

func (a *Archive) packName(pack uint32) string {
	return a.name(dirPacks, a.catalog.packs[pack].Name.String())
}

// An objectError says which object an error is about.
type objectError struct {
	object string
	err    error
}

func (e *objectError) Error() string { return fmt.Sprintf("object %s: %v", e.object, e.err) }
func (e *objectError) Unwrap() error { return e.err }

// lost tells whether an error is about one object, so that the others may be well: it is damaged, or the destination fails at
// it and gives no reason that would hold for all, as at a bad sector.
func lost(err error) bool {
	if errors.Is(err, ErrDamaged) {
		return true
	}
	_, object := errors.AsType[*objectError](err)
	return object && !slices.ContainsFunc(generalCauses, func(cause error) bool { return errors.Is(err, cause) })
}

var generalCauses = []error{
	context.Canceled, context.DeadlineExceeded, ErrVersion, blob.ErrUnreachable, blob.ErrDenied, blob.ErrFull, blob.ErrName,
}

// openContent opens a record as openRecord does and, where the seal alone is not enough, checks that it is the content with this
// id: a pack of an earlier epoch may have been made or altered by somebody who has a key that was replaced.
func (a *Archive) openContent(id format.ContentID, l location, sealed, buf []byte) ([]byte, error) {
	content, err := a.openRecord(l, sealed, buf)
	if err != nil || a.catalog.packs[l.pack].Epoch == a.keyring.Epoch() {
		return content, err
	}
	h, _ := a.hashers.Get().(*format.Hasher)
	if h == nil {
		h = a.keyring.Hasher()
	}
	defer a.hashers.Put(h)
	if h.Content(content) != id {
		return nil, &objectError{a.packName(l.pack), fmt.Errorf("%w: a record holds another content than its index says", ErrDamaged)}
	}
	return content, nil
}

// openRecord opens a record from its sealed bytes, which it overwrites. buf may be used for the content.
func (a *Archive) openRecord(l location, sealed, buf []byte) ([]byte, error) {
	r, err := a.packReader(l.pack)
	if err != nil {
		return nil, err
	}
	encoded, err := r.OpenRecord(l.position, sealed)
	if err == nil {
		encoded, err = decode(l.coding, l.size, encoded, buf)
	}
	if err != nil {
		return nil, &objectError{a.packName(l.pack), err}
	}
	return encoded, nil
}

func (a *Archive) packReader(pack uint32) (*format.PackReader, error) {
	if r, ok := a.catalog.readers.Load(pack); ok {
		return r.(*format.PackReader), nil
	}
	r, err := a.keyring.PackReader(&a.catalog.packs[pack].Pack)
	if err == nil {
		a.catalog.readers.Store(pack, r)
	}
	return r, err
}
