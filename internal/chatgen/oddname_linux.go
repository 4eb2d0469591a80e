// SPDX-License-Identifier: Apache-2.0

package chatgen

// oddName is a path that is not UTF-8: names are bytes here.
const oddName = "Media/caf\xe9 \xff\x01.txt"
