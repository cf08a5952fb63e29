package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/term"
)

const maxPassword = 1 << 10 // bytes

// password asks for a new password: twice on a terminal without showing it, or
// the whole of stdin where --password-stdin says so. It is never an argument,
// which every user of the machine could see.
func (c *call) password(of string) (string, error) {
	if c.passwordStdin {
		text, err := io.ReadAll(io.LimitReader(c.in, maxPassword+1))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if len(text) > maxPassword {
			return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
		}
		text = bytes.TrimRight(text, "\r\n")
		if len(text) == 0 {
			return "", errors.New("there is no password on stdin")
		}
		return string(text), nil
	}
	if !term.IsTerminal(int(c.in.Fd())) {
		return "", &usageError{"there is no terminal to ask for the password: pipe it in, with --password-stdin", "berth " + c.cmd.name}
	}
	first, err := c.ask("Password for " + of + ": ")
	if err != nil {
		return "", err
	}
	again, err := c.ask("Once more: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// ask reads one line without echo. An interrupt leaves the terminal as it was.
func (c *call) ask(prompt string) (string, error) {
	fd := int(c.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	fmt.Fprint(c.err, prompt)
	defer fmt.Fprintln(c.err)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		if l.err != nil {
			return "", fmt.Errorf("read the password: %w", l.err)
		}
		return string(l.text), nil
	case <-c.ctx.Done():
		return "", errors.Join(errors.New("interrupted"), term.Restore(fd, before))
	}
}
