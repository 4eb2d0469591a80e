// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// A lock says "somebody is writing". It keeps two devices from doing the same work; safety rests on put-if-absent, marks
// and the merging of forks, never on it. One that nobody has renewed for lockExpiry is dead, and so is one of this device:
// a device runs one operation at a time, which its state directory sees to.
const (
	lockExpiry  = 30 * time.Minute
	lockRenewal = 10 * time.Minute

	// lockLook is how old a listing without locks may be that takes the place of a look at them.
	lockLook = time.Minute
)

// LockInfo describes one lock at the destination.
type LockInfo struct {
	Name      string    `json:"name"`
	Device    string    `json:"device"` // the device's random id, hexadecimal
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Operation string    `json:"operation"`
	Time      time.Time `json:"time"` // when it was made or last renewed
}

// lock takes the archive for an operation. ErrLocked says who has it. The returned release must be called; it works even when
// ctx is done. Without look the caller has just seen that there are no locks.
func (a *Archive) lock(ctx context.Context, operation string, look bool) (release func(), err error) {
	var locks []LockInfo
	if look {
		if locks, err = a.Locks(ctx); err != nil {
			return nil, err
		}
	}
	for _, l := range locks {
		age := a.now().Sub(l.Time)
		switch {
		case l.Device == a.o.Device.String():
			a.notice("took over the lock that an unfinished %s of this device had left", l.Operation)
		case age > lockExpiry:
			since := "of which nothing can be read"
			if !l.Time.IsZero() {
				since = fmt.Sprintf("last renewed %s ago", age.Round(time.Minute))
			}
			a.notice("took over a dead lock: %s on %s, %s", l.Operation, l.Host, since)
		default:
			return nil, fmt.Errorf("%w: %s on %s, process %d, since %s (if that is not so, run: coffer unlock)",
				ErrLocked, l.Operation, l.Host, l.PID, l.Time.Local().Format("15:04"))
		}
		if err := a.delete(ctx, l.Name); err != nil {
			return nil, err
		}
	}
	name, err := a.putLock(ctx, operation)
	if err != nil {
		return nil, err
	}
	renewing, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() { // owns name, which release reads only after stopped
		defer close(stopped)
		tick := time.NewTicker(lockRenewal)
		defer tick.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-tick.C:
				if next, err := a.putLock(renewing, operation); err == nil {
					_ = a.delete(renewing, name) // an old lock that stays expires
					name = next
				}
			}
		}
	}()
	return func() {
		stop()
		<-stopped
		wait := time.Minute
		if ctx.Err() != nil {
			wait = 5 * time.Second // somebody has stopped it, and waits
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
		defer cancel()
		_ = a.delete(ctx, name) // a lock that stays is taken over by the next run
	}, nil
}

// dropOwnLocks removes the lock that a run of this device has left which was killed between its commit and its end: a backup that finds nothing
// to store takes none, and so would leave it in the way of other devices. Errors are for the next run that takes a lock.
func (a *Archive) dropOwnLocks(ctx context.Context) {
	locks, _ := a.Locks(ctx)
	for _, l := range locks {
		if l.Device == a.o.Device.String() {
			_ = a.delete(ctx, l.Name)
		}
	}
}

func (a *Archive) putLock(ctx context.Context, operation string) (string, error) {
	host, _ := os.Hostname()
	l := format.Lock{Device: a.o.Device, Host: host[:min(len(host), 256)], PID: uint32(os.Getpid()), Operation: operation, Time: a.now()}
	data := a.keyring.Seal(format.TypeLock, l.Encode())
	name := a.name(dirLocks, format.DigestOf(data).String())
	if err := a.store.Put(ctx, name, data); err != nil {
		return "", fmt.Errorf("lock the archive: %w", err)
	}
	return name, nil
}

// Locks lists who says to be working on the archive. A lock that cannot be read is reported as of nobody, very old.
func (a *Archive) Locks(ctx context.Context) ([]LockInfo, error) {
	var locks []LockInfo
	for l, err := range a.list(ctx, dirLocks) {
		if err != nil {
			return nil, err
		}
		if len(locks) == 1000 {
			return nil, fmt.Errorf("%w: more than 1,000 locks", ErrDamaged)
		}
		locks = append(locks, LockInfo{Name: a.name(dirLocks, l.digest.String()), Host: "unknown", Operation: "an operation"})
	}
	readable := locks[:0]
	for _, info := range locks {
		digest, _ := format.ParseDigest(info.Name[len(a.name(dirLocks, "")):])
		plain, err := a.readObject(ctx, format.TypeLock, info.Name, digest)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		if l, err2 := format.DecodeLock(plain); err == nil && err2 == nil {
			info.Device, info.Host, info.PID, info.Operation, info.Time = l.Device.String(), l.Host, int(l.PID), l.Operation, l.Time
		}
		readable = append(readable, info)
	}
	return readable, nil
}

// Unlock removes all locks and returns how many there were.
func (a *Archive) Unlock(ctx context.Context) (int, error) {
	locks, err := a.Locks(ctx)
	if err != nil {
		return 0, err
	}
	for i, l := range locks {
		if err := a.delete(ctx, l.Name); err != nil {
			return i, err
		}
	}
	return len(locks), nil
}
