// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHammer(t *testing.T) {
	db := filepath.Join(generate(t, small), MessageDatabase)
	before := CheckMoment(db)
	ctx, cancel := context.WithCancel(t.Context())
	commits, err := HammerNotify(ctx, db, func() {
		// What a reader sees beside the writer is one moment too.
		if err := CheckMoment(db); err != nil {
			t.Error(err)
		}
		cancel()
	})
	if err != nil || commits != 1 {
		t.Fatalf("%d commits, %v", commits, err)
	}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := HammerNotify(ctx, db, cancel); err != nil {
			t.Fatal(err)
		}
	}
	if err := CheckMoment(db); before != nil || err != nil {
		t.Errorf("before: %v, after: %v", before, err)
	}
	if _, err := os.Stat(db + "-wal"); err == nil {
		t.Error("the writer left its log behind")
	}
}

func TestHammerNeedsADatabase(t *testing.T) {
	db := filepath.Join(t.TempDir(), "none.db")
	if _, err := Hammer(t.Context(), db); err == nil {
		t.Error("wrote to nothing")
	}
	if err := CheckMoment(db); err == nil {
		t.Error("nothing passed as a database")
	}
}

func TestCheckMomentFindsMixedMoments(t *testing.T) {
	for _, tt := range []struct{ name, statement, says string }{
		{"message lost", `DELETE FROM message WHERE _id = 100`, "not one moment"},
		{"text of another moment", `UPDATE message SET text_data = text_data || '!' WHERE _id = (SELECT min(_id) FROM message WHERE message_type = 0)`, "not one moment"},
		{"index of another moment", "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'call_log') WHERE name = 'message_chat_sort_index'", "integrity check"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(generate(t, small), MessageDatabase)
			db, err := openDatabase(path, "mode=rw")
			must(t, err)
			_, err = db.Exec(tt.statement)
			must(t, err)
			must(t, db.Close())
			if err := CheckMoment(path); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}
