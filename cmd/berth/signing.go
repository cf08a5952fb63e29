package main

import "berth.dev/berth/internal/server"

func signingCommands() []command {
	return []command{{
		name:  "signing rotate",
		short: "Sign tokens and uploads by a new key from now on",
		long: `What the earlier keys signed stays good until it expires. With --drop it ends at once,
on other nodes within two seconds: everybody has to log in again, temporary access keys
lose their security tokens, and uploads that are open have to begin anew.`,
		examples: `berth signing rotate
			berth signing rotate --drop`,
		flags: boolFlag("drop", "end at once what earlier keys signed", func(o *options) *bool { return &o.drop }),
		run:   rotateSigning,
	}}
}

func rotateSigning(c *call) (result, error) {
	k, err := with(c, func(l *server.Local) (server.SigningKey, error) {
		return server.Call(c.ctx, l, server.RotateSigning, server.Rotation{Drop: c.drop})
	})
	text := "The key " + k.Kid + " signs from now on."
	if c.drop {
		text += " What was signed before is of no use any more."
	}
	return result{value: k, text: text}, err
}
