// Package server turns a configuration into a running registry: it opens the
// data directory, assembles the packages, listens, and ends in good order. It
// also holds the operations of the berth command, which run inside the server
// over a local socket, or in the command itself where no server runs.
package server
