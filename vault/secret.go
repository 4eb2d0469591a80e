// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// Secret returns a secret of the operator's. Each call makes a copy, which who calls wipes.
type Secret func() ([]byte, error)

// ErrSecretFile means that a file is not fit for a secret.
var ErrSecretFile = errors.New("vault: this file cannot be used for a secret")

const maxSecret = 1 << 10 // bytes

// secretFile reads a secret without the line's end that editors put there. An empty path is no secret.
func secretFile(path string) Secret {
	if path == "" {
		return nil
	}
	return func() ([]byte, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		if err := fit(file); err != nil {
			return nil, err
		}
		return readSecret(file)
	}
}

// fit refuses a file that everybody may read, or could have written. A group may: service managers show credentials so to the one user that needs them.
func fit(file *os.File) error {
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case info.Mode()&fs.ModeType != 0:
		return fmt.Errorf("%w: %s is no file", ErrSecretFile, file.Name())
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o006 != 0: // there the access list says who
		return fmt.Errorf("%w: other users can read or write %s; change the secret if they may have read it, and: chmod 600 %s", ErrSecretFile, file.Name(), file.Name())
	}
	return nil
}

// readSecret reads one that is to the end of a file or a pipe.
func readSecret(from io.Reader) ([]byte, error) {
	text := make([]byte, maxSecret+2+1)
	n, err := io.ReadFull(from, text)
	if err == nil {
		clear(text)
		return nil, fmt.Errorf("%w: a secret has at most %d bytes", ErrSecretFile, maxSecret)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return bytes.TrimRight(text[:n], "\r\n"), nil
}

// Kept is a Secret that stays in memory. It takes the bytes over.
func Kept(secret []byte) Secret {
	return func() ([]byte, error) { return bytes.Clone(secret), nil }
}

// piped returns the end of a pipe that has the secret in it: no argument and no environment shows it to other processes.
func piped(secret Secret) (*os.File, error) {
	text, err := secret()
	if err != nil {
		return nil, err
	}
	defer clear(text)
	if len(text) > maxSecret {
		return nil, fmt.Errorf("%w: a secret has at most %d bytes", ErrSecretFile, maxSecret)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = write.Write(text) // a pipe holds more than that
	if err = errors.Join(err, write.Close()); err != nil {
		read.Close()
		return nil, err
	}
	return read, nil
}
