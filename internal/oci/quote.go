package oci

import "strconv"

// quote makes a stranger's string fit for a message: quoted, escaped, and cut
// so that an error is never much longer than what is said about it.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
