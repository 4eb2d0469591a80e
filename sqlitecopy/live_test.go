// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Accounts start with balance each; transfers keep the sum.
const (
	accounts = 100
	balance  = 1000
)

// runHammer writes the database args[0] without pause, after the pragmas of
// args[1], until it is killed. Each transaction moves money, raises a counter,
// and writes and deletes rows so that pages come and go. It prints the counter
// of transactions that are committed.
func runHammer(args []string) int {
	db, err := openRW(args[0])
	if err != nil {
		return 1
	}
	exec := func(q string, a ...any) {
		if _, err := db.Exec(q, a...); err != nil {
			fmt.Fprintln(os.Stderr, q, err)
			os.Exit(1)
		}
	}
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return 1
	}
	random := rand.New(rand.NewPCG(seed, 0))
	exec(args[1] + "; pragma synchronous=off; pragma cache_size=20")
	exec("create table account(id integer primary key, money); create table counter(n); create table t(id integer primary key, v blob)")
	exec("insert into counter values(0)")
	for i := range accounts {
		exec("insert into account values(?, ?)", i, balance)
	}
	exec(fill)
	for n := 1; ; n++ {
		exec("begin immediate")
		exec("update counter set n=?", n)
		exec("update t set v=randomblob(?) where id % 50 = ?", random.IntN(2000), n%50)
		amount := random.IntN(100)
		exec("update account set money=money-? where id=?", amount, random.IntN(accounts))
		exec("update account set money=money+? where id=?", amount, random.IntN(accounts))
		exec("commit")
		fmt.Println(n)
	}
}

func TestLiveWriter(t *testing.T) {
	seed := os.Getenv("SQLITECOPY_SEED")
	if seed == "" {
		seed = strconv.FormatUint(rand.Uint64(), 10)
	}
	t.Logf("SQLITECOPY_SEED=%s", seed)
	for name, pragmas := range map[string]string{
		"wal":     "pragma journal_mode=wal; pragma wal_autocheckpoint=50",
		"journal": "pragma journal_mode=delete",
		"persist": "pragma journal_mode=persist",
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "chat.db")
			committed := watch(start(t, "hammer", db, pragmas, seed))
			last := 0
			for range 15 {
				atLeast := <-committed
				for atLeast <= last { // so that no two copies are of one moment
					atLeast = <-committed
				}
				dst := newDst(t)
				must(t, child(t)(db, dst))
				last = mustBeOneMoment(t, dst, atLeast)
			}
		})
	}
}

// An application in exclusive WAL mode never unlocks, so its database can be
// copied only at a moment when it holds still, or not at all.
func TestLiveExclusiveWriter(t *testing.T) {
	db := filepath.Join(t.TempDir(), "chat.db")
	committed := watch(start(t, "hammer", db, "pragma locking_mode=exclusive; pragma journal_mode=wal; pragma wal_autocheckpoint=50", "1"))
	dst := newDst(t)
	atLeast := <-committed
	switch err := child(t, "5s")(db, dst); {
	case err == nil:
		mustBeOneMoment(t, dst, atLeast)
	case errors.Is(err, ErrBusy):
		mustHold(t, dst)
	default:
		t.Fatal(err)
	}
}

// watch returns a channel on which the newest counter that the hammer printed
// can always be had, once each.
func watch(p *process) <-chan int {
	newest := make(chan int, 1)
	go func() {
		for p.lines.Scan() {
			n, err := strconv.Atoi(p.lines.Text())
			if err != nil {
				break
			}
			select {
			case <-newest:
			default:
			}
			newest <- n
		}
		close(newest)
	}()
	return newest
}

// mustBeOneMoment checks a copy's invariants and returns its counter.
func mustBeOneMoment(t *testing.T, copied string, atLeast int) int {
	t.Helper()
	mustHold(t, copied, "copy")
	mustBeSound(t, copied, 1000)
	if sum := query[int](t, copied, "select sum(money) from account"); sum != accounts*balance {
		t.Errorf("the accounts hold %d, want %d", sum, accounts*balance)
	}
	n := query[int](t, copied, "select n from counter")
	if n < atLeast {
		t.Errorf("counter is %d, but %d was committed before", n, atLeast)
	}
	return n
}

// runChurn opens, writes and closes the WAL database args[0], over and over. A
// connection that closes alone leaves no -wal, and one that closes beside a
// reader leaves one with its frames: an empty one is a stranger's.
func runChurn(args []string) int {
	for {
		db, err := openRW(args[0])
		if err != nil {
			return 1
		}
		if _, err := db.Exec(addOne); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := db.Close(); err != nil {
			return 1
		}
		fmt.Println("closed")
		for range 100 { // give strangers time
			if info, err := os.Stat(args[0] + "-wal"); err == nil && info.Size() == 0 {
				fmt.Println(strangerWAL)
				return 1
			}
		}
	}
}

const strangerWAL = "somebody made an empty -wal"

// Opening a WAL database just after its last connection removed the -wal would
// create a new one.
func TestApplicationComesAndGoes(t *testing.T) {
	db := filepath.Join(t.TempDir(), "chat.db")
	execute(t, db, "pragma journal_mode=wal", schema, fill)
	app := start(t, "churn", db)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for app.lines.Scan() {
			if app.lines.Text() == strangerWAL {
				t.Error(strangerWAL)
			}
		}
	}()
	dir := t.TempDir()
	for i := range 300 {
		// In this process, as a child starts too slowly to meet the moment.
		dst := filepath.Join(dir, strconv.Itoa(i))
		must(t, Copy(t.Context(), db, dst))
		if i%100 == 0 && query[string](t, dst, "pragma integrity_check") != "ok" {
			t.Error("integrity_check failed")
		}
		must(t, os.Remove(dst))
	}
	app.cmd.Process.Kill()
	<-stopped
}
