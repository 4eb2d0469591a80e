// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/coffer-backup/coffer/archive/format"
)

// A packer seals contents into packs and stores them. At most openPacks are being filled, at most packBuffers exist at
// all: that bounds the memory, and what a kill makes the next run send again.
const (
	openPacks   = 2
	packBuffers = 4
)

// Contents are added by several goroutines. Each takes an open pack out of idle, seals into it alone, and puts it back; so
// sealing runs in parallel and a lock is held only to pass packs around. A full pack goes to an upload goroutine, which hands
// its buffer back. Whoever finds no pack and no buffer waits for either. The wait ends, because a pack in use is put
// back or uploaded, and an upload ends, with an error if need be, which wakes all.
type packer struct {
	a   *Archive
	ctx context.Context
	end context.CancelCauseFunc

	mu      sync.Mutex
	changed sync.Cond
	idle    []*format.PackWriter // open and unused; the last used is taken first, so that a small backup fills one pack
	open    int                  // idle and in use
	free    [][]byte
	buffers int
	stored  []format.Pack
	uploads sync.WaitGroup

	progress *Progress // gets the bytes of the source whose pack is stored; may be nil
	waiting  map[*format.PackWriter]int64

	known   map[format.ContentID]struct{} // contents taken by this run
	catalog *catalog                      // contents that the archive has
	used    []bool                        // packs of the catalog that the run refers to

	beforeFirst func() error // called once, before the first pack is opened; may be nil
	first       sync.Once
}

func (a *Archive) newPacker(ctx context.Context, c *catalog) *packer {
	p := &packer{a: a, catalog: c, known: map[format.ContentID]struct{}{}, waiting: map[*format.PackWriter]int64{}, used: make([]bool, len(c.packs))}
	p.ctx, p.end = context.WithCancelCause(ctx)
	p.changed.L = &p.mu
	context.AfterFunc(p.ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	return p
}

// have reports whether a content is stored, by this run or before, and remembers that this run refers to it.
func (p *packer) have(id format.ContentID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.haveLocked(id)
}

func (p *packer) haveLocked(id format.ContentID) bool {
	if l, ok := p.catalog.contents[id]; ok {
		p.used[l.pack] = true
		return true
	}
	_, ok := p.known[id]
	return ok || id.IsHole()
}

// claim reports whether the content is new; then the caller must add it. A content that another goroutine has claimed counts
// as stored: if that fails, the whole run fails.
func (p *packer) claim(id format.ContentID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.haveLocked(id) {
		return false
	}
	p.known[id] = struct{}{}
	return true
}

// add stores a claimed content. With an encoder it is compressed if that saves at least 1/32.
func (p *packer) add(id format.ContentID, content []byte, enc *encoder) error {
	return p.addCounted(id, content, enc, 0)
}

// addCounted is add for so many bytes of the source: the progress gets them once the pack is stored. What is only in a buffer may
// wait there for minutes, where the way to the destination is slow, and is lost with the process.
func (p *packer) addCounted(id format.ContentID, content []byte, enc *encoder, sourceBytes int64) error {
	r := format.Record{ID: id, Size: uint32(len(content)), Stored: uint32(len(content))}
	encoded := content
	if enc != nil {
		if c := enc.encode(content); len(c) <= len(content)-len(content)/32 {
			encoded, r.Coding, r.Stored = c, format.Zstd, uint32(len(c))
		}
	}
	w, err := p.take(len(encoded))
	if err != nil {
		return err
	}
	w.Append(r, encoded)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting[w] += sourceBytes
	p.idle = append(p.idle, w)
	p.changed.Signal()
	return nil
}

// take returns an open pack with room for so many bytes.
func (p *packer) take(size int) (*format.PackWriter, error) {
	p.first.Do(func() {
		if p.beforeFirst != nil {
			if err := p.beforeFirst(); err != nil {
				p.end(err)
			}
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.ctx.Err() != nil {
			return nil, context.Cause(p.ctx)
		}
		if n := len(p.idle); n > 0 {
			w := p.idle[n-1]
			p.idle = p.idle[:n-1]
			if w.Fits(size) {
				return w, nil
			}
			p.upload(w)
			continue
		}
		if buf := p.buffer(); buf != nil {
			p.open++
			return p.a.keyring.NewPack(buf), nil
		}
		p.changed.Wait()
	}
}

// buffer returns a free buffer if another pack may be opened. p.mu is held.
func (p *packer) buffer() []byte {
	switch n := len(p.free); {
	case p.open == openPacks:
		return nil
	case n > 0:
		buf := p.free[n-1]
		p.free = p.free[:n-1]
		return buf
	case p.buffers < packBuffers:
		p.buffers++
		return make([]byte, 0, format.MaxPackSize)
	}
	return nil
}

// upload closes a pack and stores it in the background. p.mu is held.
func (p *packer) upload(w *format.PackWriter) {
	p.open--
	sourceBytes := p.waiting[w]
	delete(p.waiting, w)
	p.uploads.Go(func() {
		pack, data := w.Finish()
		err := p.a.put(p.ctx, p.a.name(dirPacks, pack.Name.String()), data)
		if err != nil {
			p.end(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil {
			p.stored = append(p.stored, pack)
			p.progress.add(sourceBytes, 0)
		}
		p.free = append(p.free, data)
		p.changed.Broadcast()
	})
}

// finish stores the packs that are still open and waits for all uploads. Nobody may add any more.
func (p *packer) finish() ([]format.Pack, error) {
	p.mu.Lock()
	for _, w := range p.idle {
		p.upload(w)
	}
	p.idle = nil
	p.mu.Unlock()
	p.uploads.Wait()
	if err := context.Cause(p.ctx); err != nil {
		return nil, err
	}
	return p.stored, nil
}

// abort ends all uploads and waits for them. What is stored stays, for the next run. It may follow finish.
func (p *packer) abort() {
	p.end(context.Canceled)
	p.uploads.Wait()
}

// encoder compresses for one goroutine, into a buffer of its own.
type encoder struct {
	zstd *zstd.Encoder
	buf  []byte
}

// encoders holds encoders for those who need one now and then.
var encoders = sync.Pool{New: func() any { return newEncoder() }}

func newEncoder() *encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(format.GroupSize), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic("archive: zstd: " + err.Error())
	}
	return &encoder{zstd: e}
}

// encode returns the compressed bytes, valid until the next call.
func (e *encoder) encode(p []byte) []byte {
	e.buf = e.zstd.EncodeAll(p, e.buf[:0])
	return e.buf
}
