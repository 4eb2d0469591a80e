// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// kind is a sort of media file. Sizes are log-normal around the median; only
// their proportions count, for planMedia scales them to the wanted mean.
type kind struct {
	dir, prefix, ext, mime string
	magic                  string // first bytes, so that other tools know the type
	messageType            int
	share                  float64 // of all files
	median, sigma          float64
	text                   bool // compressible
	thumbnail              bool // has one in the database
}

var kinds = []kind{
	{dir: "Images", prefix: "IMG", ext: ".jpg", mime: "image/jpeg", magic: "\xff\xd8\xff\xe0", messageType: 1, share: .62, median: 180e3, sigma: .8, thumbnail: true},
	{dir: "Voice", prefix: "PTT", ext: ".opus", mime: "audio/ogg", magic: "OggS", messageType: 2, share: .18, median: 25e3, sigma: .9},
	{dir: "Stickers", prefix: "STK", ext: ".webp", mime: "image/webp", magic: "RIFF", messageType: 20, share: .10, median: 20e3, sigma: .5},
	{dir: "Video", prefix: "VID", ext: ".mp4", mime: "video/mp4", magic: "\x00\x00\x00\x20ftypisom", messageType: 3, share: .07, median: 2200e3, sigma: 1, thumbnail: true},
	{dir: "Documents", prefix: "DOC", ext: ".pdf", mime: "application/pdf", magic: "%PDF-1.7\n", messageType: 9, share: .025, median: 200e3, sigma: 1.2},
	{dir: "Documents", prefix: "TXT", ext: ".txt", mime: "text/plain", messageType: 9, share: .005, median: 100e3, sigma: 1, text: true},
}

var tinyKind = kind{ext: ".jpg", magic: "\xff\xd8"}

// One media file in twenty was forwarded: the bytes of an earlier one under a
// new name.
const forwardedShare = .05

// mediaFile is a file to be written.
type mediaFile struct {
	path    string // in the store, with slashes
	kind    *kind
	size    int64
	content uint64 // files of equal content number, kind and size have equal bytes
	when    time.Time
}

// planMedia chooses n files of the given mean size, evenly from start to end.
// It is a plan only, because the database names the files while they are written.
func planMedia(rng *rand.Rand, n int, mean int64, start, end time.Time) []mediaFile {
	files := make([]mediaFile, n)
	sizes := make([]float64, n)
	sum := 0.0
	for i := range files {
		f := &files[i]
		*f = mediaFile{kind: pickKind(rng), content: rng.Uint64()}
		sizes[i] = f.kind.median * math.Exp(f.kind.sigma*rng.NormFloat64())
		if i > 0 && rng.Float64() < forwardedShare {
			j := rng.IntN(i)
			f.kind, f.content, sizes[i] = files[j].kind, files[j].content, sizes[j]
		}
		sum += sizes[i]
	}
	names := map[string]int{}
	step := end.Sub(start) / time.Duration(n+1)
	for i := range files {
		f := &files[i]
		f.size = max(64, int64(sizes[i]*float64(mean)*float64(n)/sum))
		// Odd nanoseconds, in the 100 ns that every file system keeps.
		f.when = start.Add(step * time.Duration(i+1)).Truncate(time.Second).Add(time.Duration(rng.IntN(1e7)) * 100)
		stem := f.kind.prefix + "-" + f.when.Format("20060102")
		names[stem]++
		f.path = path.Join("Media", f.kind.dir, fmt.Sprintf("%s-%04d%s", stem, names[stem], f.kind.ext))
	}
	return files
}

func pickKind(rng *rand.Rand) *kind {
	x := rng.Float64()
	for i := range kinds {
		if x -= kinds[i].share; x < 0 {
			return &kinds[i]
		}
	}
	return &kinds[0]
}

const filesPerFolder = 256

// planTiny chooses n files of 64 to 1,023 bytes.
func planTiny(rng *rand.Rand, n int) []mediaFile {
	files := make([]mediaFile, n)
	for i := range files {
		content := rng.Uint64()
		files[i] = mediaFile{
			path:    fmt.Sprintf("Thumbnails/%03x/%016x.jpg", i/filesPerFolder, content),
			kind:    &tinyKind,
			size:    64 + int64(rng.IntN(960)),
			content: content,
			when:    historyStart.Add(time.Duration(i) * time.Minute),
		}
	}
	return files
}

// writeFiles writes the files, several at a time.
func writeFiles(ctx context.Context, dir string, seed uint64, files []mediaFile) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, f := range files {
		folder := filepath.Join(dir, filepath.FromSlash(path.Dir(f.path)))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	// A worker takes a folder of tiny files as a whole, since a file system
	// makes only one entry of a folder at a time.
	blocks := make(chan []mediaFile)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			buf := make([]byte, 256<<10)
			for block := range blocks {
				for _, f := range block {
					if ctx.Err() != nil {
						break
					}
					if err := f.write(dir, seed, buf); err != nil {
						cancel(err)
					}
				}
			}
		})
	}
	for block := range slices.Chunk(files, filesPerFolder) {
		blocks <- block
	}
	close(blocks)
	workers.Wait()
	return context.Cause(ctx)
}

func (f *mediaFile) write(dir string, seed uint64, buf []byte) error {
	perm := os.FileMode(0o644)
	if f.content%8 == 0 {
		perm = 0o600
	}
	return writeFile(filepath.Join(dir, filepath.FromSlash(f.path)), perm, f.when, func(w io.Writer) error {
		if f.kind.text {
			return writeText(w, rand.New(rand.NewPCG(seed, f.content)), f.size)
		}
		return f.writeNoise(w, seed, buf)
	})
}

// writeNoise writes bytes that do not compress, made by way of buf.
func (f *mediaFile) writeNoise(w io.Writer, seed uint64, buf []byte) error {
	var key [16]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], f.content)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return err
	}
	stream := cipher.NewCTR(block, make([]byte, aes.BlockSize))
	for offset := int64(0); offset < f.size; offset += int64(len(buf)) {
		part := buf[:min(f.size-offset, int64(len(buf)))]
		clear(part)
		stream.XORKeyStream(part, part)
		if offset == 0 {
			copy(part, f.kind.magic)
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// writeText writes n bytes of chat text, a message a line.
func writeText(w io.Writer, rng *rand.Rand, n int64) error {
	out := bufio.NewWriter(w)
	var line []byte
	for n > 0 {
		line = append(appendText(line[:0], rng), '\n')
		line = line[:min(n, int64(len(line)))]
		n -= int64(len(line))
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// writeFile makes a file that must not exist, whatever the umask.
func writeFile(name string, perm os.FileMode, when time.Time, content func(io.Writer) error) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	err = content(f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(name, perm)
	}
	if err == nil {
		err = os.Chtimes(name, when, when)
	}
	return err
}
