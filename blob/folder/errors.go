// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/coffer-backup/coffer/blob"
)

// explain says what failed where, and gives err its class of package blob.
func (s *Store) explain(op, name string, err error) error {
	if gone := s.present(); gone != nil {
		err = gone
	}
	return fmt.Errorf("%s %q in %s: %w", op, name, s.path, classify(err))
}

// classify adds the sentinel of package blob that fits the operating system's
// error, if one does. An error that has its class already has none of these causes.
//
// A plain I/O error gets no class: on a read it is most often one bad sector, and
// the caller must be able to go on with other objects.
func classify(err error) error {
	for _, c := range []struct {
		class  error
		causes []error
	}{
		{blob.ErrFull, fullErrors},
		{blob.ErrUnreachable, unreachableErrors},
		{blob.ErrDenied, deniedErrors},
	} {
		if slices.ContainsFunc(c.causes, func(cause error) bool { return errors.Is(err, cause) }) {
			return fmt.Errorf("%w (%v)", c.class, err)
		}
	}
	return err
}

// missing gives err the class blob.ErrNotFound if no file has the object's name.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w (%v)", blob.ErrNotFound, err)
	}
	return err
}

// occupied gives err the class blob.ErrName if a file is where a folder should be.
func occupied(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: an object has the name of one of its folders", blob.ErrName)
	}
	return err
}
