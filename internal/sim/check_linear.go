// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/coffer-backup/coffer/wire"
)

// linearCheck checks that what clients asked and were told is what one vault could have said that does one thing after another, with each request done
// once between its call and its answer. One without an answer may have been done at any time since, or never. So may one that was refused: a client sends
// the same bytes to one replica after another, and a host gives them to a core as often as it likes, so that what is refused may have been done before, or
// is done later.
type linearCheck struct {
	w       *World
	history map[wire.AccountID][]porcupine.Operation
	at      int64
}

// linearMs bounds how long one history is judged.
const linearMs = 5000

func newLinearCheck(w *World) *linearCheck {
	return &linearCheck{w: w, history: map[wire.AccountID][]porcupine.Operation{}}
}

// asked is a request on its way.
type asked struct {
	client *client
	body   wire.Body
	call   int64
}

func (l *linearCheck) begin(c *client, body wire.Body) asked {
	l.at++
	return asked{c, body, l.at}
}

// end takes notice of an answer.
func (l *linearCheck) end(a asked, answer wire.Body, err error) {
	l.at++
	in := inputOf(a.client, a.body)
	_, reads := in.(*wire.Status)
	if in == nil || reads && err != nil {
		return
	}
	op := porcupine.Operation{ClientId: 2 * a.client.account, Input: in, Call: a.call, Output: answer, Return: l.at}
	if a.client.thief {
		op.ClientId++
	}
	var refusal *wire.Error
	if errors.As(err, &refusal) {
		op.Output = refusal
	}
	if err == nil || refusal != nil {
		l.history[a.client.id] = append(l.history[a.client.id], op)
	}
	if err != nil {
		op.Output, op.Return = nil, math.MaxInt64
		l.history[a.client.id] = append(l.history[a.client.id], op)
	}
}

// finish judges all histories.
func (l *linearCheck) finish() error {
	for _, c := range l.w.clients {
		ops := l.history[c.id]
		if c.thief || len(ops) == 0 {
			continue
		}
		verdict, info := porcupine.CheckOperationsVerbose(newModel(l.w.schedule.Setup.Budget), ops, linearMs*time.Millisecond)
		switch verdict {
		case porcupine.Illegal:
			return fmt.Errorf("%s was told what no order of its requests explains:\n%s", c.name, describe(ops, info.PartialLinearizations()[0]))
		case porcupine.Unknown:
			l.w.trace.count["too long to judge"]++
		}
	}
	return nil
}

// describe lists a history. What the longest order that could be found has in it is marked.
func describe(ops []porcupine.Operation, orders [][]int) string {
	var longest []int
	for _, o := range orders {
		if len(o) > len(longest) {
			longest = o
		}
	}
	var b strings.Builder
	for i, op := range ops {
		mark, end := " ", fmt.Sprint(op.Return)
		if n := slices.Index(longest, i); n >= 0 {
			mark = fmt.Sprint(n + 1)
		}
		if op.Return == math.MaxInt64 {
			end = "never"
		}
		fmt.Fprintf(&b, "  %3s  %4d to %-5s client %d: %s -> %s\n", mark, op.Call, end, op.ClientId, describeInput(op.Input), describeOutput(op.Output))
	}
	return b.String()
}
