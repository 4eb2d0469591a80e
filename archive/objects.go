// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// readAll reads an object of at most limit bytes. A destination that says nothing of sizes, or lies, gets no more memory
// than that.
func readAll(ctx context.Context, store blob.Store, name string, limit int) ([]byte, error) {
	store = guard(store)
	buf := make([]byte, min(limit, 512<<10)+1)
	for n := 0; ; {
		m, err := store.ReadAt(ctx, name, buf[n:], int64(n))
		n += m
		switch {
		case n > limit:
			return nil, fmt.Errorf("%w: it is larger than any such object may be", ErrDamaged)
		case errors.Is(err, io.EOF):
			return buf[:n], nil
		case err != nil:
			return nil, err
		}
		grown := make([]byte, min(limit+1, 8*len(buf)))
		copy(grown, buf[:n])
		buf = grown
	}
}

// readObject reads a sealed object, checks it against the digest that named it, and opens it.
func (a *Archive) readObject(ctx context.Context, t format.Type, name string, digest format.Digest) ([]byte, error) {
	plain, _, err := a.readEpoch(ctx, t, name, digest)
	return plain, err
}

// readEpoch reads an object as readObject does, and says under which epoch's master key it is sealed.
func (a *Archive) readEpoch(ctx context.Context, t format.Type, name string, digest format.Digest) (plain []byte, epoch uint32, err error) {
	o := object{name: name, digest: digest, limit: format.MaxObjectSize}
	data, err := readNamed(ctx, a.store, o)
	switch other, ok := []byte(nil), false; {
	case err == nil:
	case errors.Is(err, blob.ErrNotFound) || lost(err):
		if other, ok = a.fromOthers(ctx, o); !ok && errors.Is(err, blob.ErrNotFound) {
			return nil, 0, fmt.Errorf("%w: object %s is missing", ErrDamaged, name)
		} else if !ok {
			return nil, 0, err
		}
		data = other
	default:
		return nil, 0, err
	}
	if plain, err = a.keyring.Open(t, data); err == nil {
		epoch, err = format.EpochOf(a.id, t, data)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("object %s: %w", name, err)
	}
	return plain, epoch, nil
}

var errTooLarge = errors.New("more than one archive can hold: the list of its contents is over 64 MiB; divide the source among several archives")

// putObject seals an object and stores it under its digest.
func (a *Archive) putObject(ctx context.Context, t format.Type, plain []byte) (format.Digest, error) {
	if len(plain) > format.MaxPlain {
		return format.Digest{}, errTooLarge
	}
	data := a.keyring.Seal(t, plain)
	digest := format.DigestOf(data)
	return digest, a.put(ctx, a.name(dirOf(t), digest.String()), data)
}

// put stores bytes under a name that is their digest. An object that is there already is the same one: a repeated Put whose
// first answer was lost.
func (a *Archive) put(ctx context.Context, name string, data []byte) error {
	if err := a.store.Put(ctx, name, data); err != nil && !errors.Is(err, blob.ErrExists) {
		return fmt.Errorf("write %s: %w", name, err)
	}
	a.addedBytes.Add(int64(len(data)))
	a.addedObjects.Add(1)
	return nil
}

// delete removes an object. That it is gone already is no error.
func (a *Archive) delete(ctx context.Context, name string) error {
	if err := a.store.Delete(ctx, name); err != nil && !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

type listed struct {
	digest format.Digest
	size   int64
}

// list yields the objects of a folder that are named by digest; foreign files are passed over.
func (a *Archive) list(ctx context.Context, dir string) iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		prefix := a.name(dir, "")
		for info, err := range a.store.List(ctx, prefix) {
			if err != nil {
				yield(listed{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			if digest, ok := format.ParseDigest(strings.TrimPrefix(info.Name, prefix)); ok && !yield(listed{digest, info.SizeBytes}, nil) {
				return
			}
		}
	}
}

// listAll lists, with their sizes, all objects that may be marked, and counts the locks. It is one listing of the whole archive: elsewhere than in a
// folder, each of several would be a request of its own.
func (a *Archive) listAll(ctx context.Context) (present map[format.Mark]int64, locks int, err error) {
	present = map[format.Mark]int64{}
	prefix := a.name("", "")
	for info, err := range a.store.List(ctx, prefix) {
		if err != nil {
			return nil, 0, fmt.Errorf("list %s: %w", prefix, err)
		}
		dir, rest, _ := strings.Cut(strings.TrimPrefix(info.Name, prefix), "/")
		digest, ok := format.ParseDigest(rest)
		if !ok {
			continue
		}
		switch dir + "/" {
		case dirPacks:
			present[format.Mark{Type: format.TypePack, Name: digest}] = info.SizeBytes
		case dirIndexes:
			present[format.Mark{Type: format.TypeIndex, Name: digest}] = info.SizeBytes
		case dirSnapshots:
			present[format.Mark{Type: format.TypeSnapshot, Name: digest}] = info.SizeBytes
		case dirLocks:
			locks++
		}
	}
	return present, locks, nil
}

func packsOf(present map[format.Mark]int64) map[format.Digest]int64 {
	packs := map[format.Digest]int64{}
	for m, size := range present {
		if m.Type == format.TypePack {
			packs[m.Name] = size
		}
	}
	return packs
}
