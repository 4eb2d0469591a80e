// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/coffer-backup/coffer/internal/token"
)

const (
	refreshName    = "refresh.json"
	maxRefresh     = 4096 // tokens; then the oldest is forgotten, and its device logs in again
	maxRefreshFile = 8 << 20
)

// refreshFile keeps refresh tokens in a file that is replaced as a whole: there are few logins.
type refreshFile struct {
	folder folder
	list   []storedLogin // oldest first
	byHash map[secretHash]login
}

// storedLogin is a refresh token in the file.
type storedLogin struct {
	Hash    string `json:"sha256"`
	Account string `json:"account"`
	Role    string `json:"role"`
	Expires int64  `json:"expires"` // seconds since 1970
}

func openRefreshFile(f folder) (*refreshFile, error) {
	r := &refreshFile{folder: f}
	data, err := f.read(refreshName, maxRefreshFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(data, &r.list); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", refreshName, err)
		}
	}
	r.byHash, err = index(r.list)
	return r, err
}

func index(list []storedLogin) (map[secretHash]login, error) {
	byHash := make(map[secretHash]login, len(list))
	for _, s := range list {
		hash, err := hex.DecodeString(s.Hash)
		role, ok := token.ParseRole(s.Role)
		if err != nil || len(hash) != len(secretHash{}) || !ok || !isName(s.Account) {
			return nil, fmt.Errorf("%s is damaged: an entry is not valid", refreshName)
		}
		byHash[secretHash(hash)] = login{identity{s.Account, role}, time.Unix(s.Expires, 0)}
	}
	return byHash, nil
}

func (r *refreshFile) find(hash secretHash) (login, bool) {
	l, ok := r.byHash[hash]
	return l, ok
}

// add makes a refresh token durable. When that fails, nothing has changed here; the file may have.
func (r *refreshFile) add(hash secretHash, l login, now time.Time) error {
	list := slices.DeleteFunc(slices.Clone(r.list), func(s storedLogin) bool { return s.Expires <= now.Unix() })
	list = append(list, storedLogin{hex.EncodeToString(hash[:]), l.account, l.role.String(), l.expires.Unix()})
	list = list[max(0, len(list)-maxRefresh):]
	byHash, err := index(list)
	if err != nil {
		return err
	}
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := r.folder.replace(refreshName, data); err != nil {
		return err
	}
	r.list, r.byHash = list, byHash
	return nil
}
