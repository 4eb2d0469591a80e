// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
)

// The file cache holds what the last backup saw of each file, so that an unchanged one is not read again. It is a hint: a
// damaged or missing one costs time only, and what it says is stored is looked up in the archive all the same.
//
// It is a stream of frames in the order of the walk: length (4) ‖ CRC-32C (4) ‖ body; the first body is the time
// of the backup, each other one a leaf as in format, with each entry's change time and inode behind it.
const cacheMagic = "coffer file cache 1\n"

const maxCacheFrame = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A cachedFile is one file as the last backup saw it.
type cachedFile struct {
	entry format.Entry
	stat  source.Stat
}

// A cacheReader walks through the cache beside a walk of the source. A nil one has nothing.
type cacheReader struct {
	f     *os.File
	r     *bufio.Reader
	taken time.Time // when the cached backup began
	files []cachedFile
}

// openCache opens a cache, or returns nil.
func openCache(path string) *cacheReader {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	c := &cacheReader{f: f, r: bufio.NewReaderSize(f, 256<<10)}
	m := make([]byte, len(cacheMagic))
	if _, err := io.ReadFull(c.r, m); err != nil || string(m) != cacheMagic {
		f.Close()
		return nil
	}
	body := c.frame()
	if len(body) != 8 {
		f.Close()
		return nil
	}
	c.taken = time.Unix(0, int64(binary.BigEndian.Uint64(body)))
	return c
}

func (c *cacheReader) close() {
	if c != nil {
		c.f.Close()
	}
}

// frame returns the next body, or nil at the end or at damage.
func (c *cacheReader) frame() []byte {
	var h [8]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		return nil
	}
	n := binary.BigEndian.Uint32(h[:4])
	if n > maxCacheFrame {
		return nil
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.r, body); err != nil || crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(h[4:]) {
		return nil
	}
	return body
}

// next returns the cached file of a path, or nil. Paths must be asked for in the order of the walk.
func (c *cacheReader) next(path string) *cachedFile {
	for c != nil {
		for len(c.files) > 0 {
			f := &c.files[0]
			switch cmp := format.ComparePaths(f.entry.Path, path); {
			case cmp > 0:
				return nil
			case cmp == 0:
				c.files = c.files[1:]
				return f
			}
			c.files = c.files[1:]
		}
		if c.files = c.leaf(); c.files == nil {
			return nil
		}
	}
	return nil
}

func (c *cacheReader) leaf() []cachedFile {
	body := c.frame()
	if len(body) < 4 {
		return nil
	}
	n := binary.BigEndian.Uint32(body)
	if uint64(n) > uint64(len(body)-4) {
		return nil
	}
	entries, err := format.DecodeLeaf(body[4 : 4+n])
	if err != nil || len(entries) == 0 {
		return nil
	}
	stats := bytes.NewReader(body[4+n:])
	files := make([]cachedFile, len(entries))
	for i, e := range entries {
		seconds, _ := binary.ReadVarint(stats)
		nanos, _ := binary.ReadUvarint(stats)
		inode, err := binary.ReadUvarint(stats)
		if err != nil {
			return nil
		}
		changed := time.Time{}
		if seconds != 0 || nanos != 0 {
			changed = time.Unix(seconds, int64(nanos))
		}
		files[i] = cachedFile{e, source.Stat{Size: e.Size, ModTime: e.ModTime, ChangeTime: changed, Inode: inode}}
	}
	return files
}

// A cacheWriter writes the next cache beside the old one.
type cacheWriter struct {
	path string
	f    *os.File
	w    *bufio.Writer
	err  error
}

func createCache(path string, taken time.Time) (*cacheWriter, error) {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write the cache: %w", err)
	}
	c := &cacheWriter{path: path, f: f, w: bufio.NewWriterSize(f, 256<<10)}
	c.w.WriteString(cacheMagic)
	c.frame(binary.BigEndian.AppendUint64(nil, uint64(taken.UnixNano())))
	return c, nil
}

func (c *cacheWriter) frame(body []byte) {
	var h [8]byte
	binary.BigEndian.PutUint32(h[:4], uint32(len(body)))
	binary.BigEndian.PutUint32(h[4:], crc32.Checksum(body, castagnoli))
	c.w.Write(h[:])
	if _, err := c.w.Write(body); err != nil { // bufio keeps the first error
		c.err = err
	}
}

// leaf writes the entries of an encoded leaf.
func (c *cacheWriter) leaf(encoded []byte, stats []source.Stat) {
	body := make([]byte, 4, 4+len(encoded)+16*len(stats))
	binary.BigEndian.PutUint32(body, uint32(len(encoded)))
	body = append(body, encoded...)
	for _, s := range stats {
		if s.ChangeTime.IsZero() {
			body = append(body, 0, 0)
		} else {
			body = binary.AppendVarint(body, s.ChangeTime.Unix())
			body = binary.AppendUvarint(body, uint64(s.ChangeTime.Nanosecond()))
		}
		body = binary.AppendUvarint(body, s.Inode)
	}
	c.frame(body)
}

// commit puts the new cache in the old one's place.
func (c *cacheWriter) commit() error {
	err := c.w.Flush()
	if c.err != nil {
		err = c.err
	}
	if err2 := c.f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(c.path+".new", c.path)
	}
	if err != nil {
		os.Remove(c.path + ".new")
		return fmt.Errorf("write the cache: %w", err)
	}
	return nil
}

func (c *cacheWriter) discard() {
	c.f.Close()
	os.Remove(c.path + ".new")
}
