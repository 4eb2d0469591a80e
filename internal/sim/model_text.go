// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strings"

	"github.com/coffer-backup/coffer/wire"
)

// inputOf is what the model sees of a request; nil: nothing, because it changes nothing and tells nothing of the account.
func inputOf(c *client, body wire.Body) any {
	switch b := body.(type) {
	case *wire.RegisterStart, *wire.PutFreshness:
		return nil
	case *wire.RegisterFinish:
		return finishing{c.storing, b.Manage}
	case *wire.RecoverStart:
		return guessing{b.Registration, b.Serial, wire.NewElementDigest(b.Registration, &b.KE1)}
	}
	return body
}

func describeInput(input any) string {
	switch in := input.(type) {
	case *wire.Status:
		return "status"
	case finishing:
		return fmt.Sprintf("store %.4s", in.id)
	case *wire.RegisterConfirm:
		return fmt.Sprintf("confirm %.4s, replacing %v", in.Registration, in.Replaces != nil)
	case guessing:
		return fmt.Sprintf("guess %d at %.4s, element %x", in.serial, in.id, in.element[:2])
	case *wire.RecoverFinish:
		return fmt.Sprintf("prove guess %d at %.4s", in.Serial, in.Registration)
	case *wire.Delete:
		return fmt.Sprintf("delete %.4s, with proof %v", in.Registration, in.Proof != nil)
	}
	return fmt.Sprintf("%T", input)
}

func describeOutput(output any) string {
	switch out := output.(type) {
	case nil:
		return "unknown"
	case *wire.Error:
		return fmt.Sprintf("refused: %v (serial %d, %d left)", out.Code, out.Serial, out.GuessesLeft)
	case *wire.RecoverStarted:
		return fmt.Sprintf("%d left, repeated %v", out.GuessesLeft, out.Repeated)
	case *wire.RecoverFinished:
		return fmt.Sprintf("%d left", out.GuessesLeft)
	case *wire.StatusAnswer:
		parts := []string{fmt.Sprint("serial ", out.Serial)}
		for _, r := range out.Registrations {
			parts = append(parts, fmt.Sprintf("%.4s %v %d left", r.ID, r.State, r.GuessesLeft))
		}
		return strings.Join(parts, ", ")
	case *wire.Deleted:
		return fmt.Sprintf("retained for %d ms", out.RetainedMs)
	}
	return fmt.Sprintf("%T", output)
}
