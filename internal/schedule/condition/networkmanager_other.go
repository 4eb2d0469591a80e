// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package condition

import "context"

// NetworkManager is a service of Linux.
func NetworkManager(context.Context) Metered { return MeteredUnknown }
