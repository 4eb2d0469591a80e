// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package chatgen

const oddName = "Media/café 文 .txt"
