// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/coffer-backup/coffer"
)

// maxKeyText bounds what is read where 64 digits are expected, in bytes.
const maxKeyText = 4096

// readKeyFile reads a key that init wrote or a person typed; "-" is standard input.
func (a *app) readKeyFile(path string) (coffer.Key, error) {
	in := io.Reader(a.lines)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return coffer.Key{}, fmt.Errorf("key file: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxKeyText))
	if err != nil {
		return coffer.Key{}, fmt.Errorf("key file: %w", err)
	}
	defer clear(text)
	key, err := coffer.ParseKey(string(text))
	if err != nil {
		return key, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// mustNotExist looks before any work is done; createSecret makes sure afterwards.
func mustNotExist(path string) error {
	if path == "-" {
		return usagef("the key is written to a file only; use coffer key show to print it")
	}
	if _, err := os.Lstat(path); err == nil {
		return usagef("%s exists already; a file that may hold a key is never replaced", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// createSecret writes a new file that only the user can read, 0600 and durable.
func createSecret(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(path)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil || runtime.GOOS == "windows" { // which has no flush for folders
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func writeKeyFile(path string, key coffer.Key) error {
	return createSecret(path, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, key.Digits())
		return err
	})
}
