// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	minRate = 10_000 // slower than this, a pack takes so long that servers close the connection
	maxRate = 1_000_000_000_000
)

var rateUnits = []struct {
	suffix string
	bytes  int64
}{{"G", 1_000_000_000}, {"M", 1_000_000}, {"k", 1_000}}

// ParseRate reads bytes a second, such as 2M, 500k or 1.5M; the units are powers of ten, as everywhere in what Coffer prints. It is never bits.
func ParseRate(text string) (int64, error) {
	number, unit := text, int64(1)
	for _, u := range rateUnits {
		if rest, ok := strings.CutSuffix(strings.ToUpper(text), strings.ToUpper(u.suffix)); ok {
			number, unit = rest, u.bytes
		}
	}
	whole, fraction, _ := strings.Cut(number, ".")
	digits := strings.Trim(whole+fraction, "0123456789") == "" && whole != "" && len(whole) <= 12 && len(fraction) <= 3
	n, err := strconv.ParseFloat(number, 64)
	if rate := int64(math.Round(n * float64(unit))); digits && err == nil && rate >= minRate && rate <= maxRate {
		return rate, nil
	}
	return 0, fmt.Errorf("%w: %q is no rate; give bytes a second from 10k up, such as 500k or 2M", ErrPlan, text)
}

// formatRate writes a rate in the largest unit that says it exactly.
func formatRate(bytesPerSecond int64) string {
	for _, u := range rateUnits {
		if bytesPerSecond%u.bytes == 0 {
			return strconv.FormatInt(bytesPerSecond/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(bytesPerSecond, 10)
}
