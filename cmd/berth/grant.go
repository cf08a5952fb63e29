package main

import (
	"fmt"

	"berth.dev/berth/internal/server"
)

func grantCommands() []command {
	return []command{
		{
			name: "grant set", args: "TARGET USER RIGHT",
			short: "Give a user a right on an organization or a repository",
			long: `TARGET is ORG or ORG/REPO, in the user's own account. RIGHT is read (1: pull),
edit (3: push as well) or manage (7: delete and give rights as well). It takes
the place of the right the user has there.`,
			examples: `berth grant set demo alice edit
				berth grant set demo/alpine bob read`,
			run: setGrant,
		},
		{
			name: "grant remove", args: "TARGET USER",
			short: "Take a user's right on an organization or a repository away", examples: `berth grant remove demo alice`,
			run: removeGrant,
		},
		{
			name: "grant list", args: "TARGET",
			short: "List the rights on an organization or a repository",
			examples: `berth grant list demo
				berth grant list demo/alpine --output json`,
			run: listGrants,
		},
	}
}

func setGrant(c *call) (result, error) {
	target, user := c.args[0], c.args[1]
	auth, ok := server.ParseRight(c.args[2])
	if !ok {
		return result{}, &usageError{fmt.Sprintf("%q is no right: read (1), edit (3) or manage (7)", c.args[2]), "berth grant set"}
	}
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.SetGrant, server.Granting{On: target, User: user, Auth: auth})
	})
	return done(target, "%s has the right %s on %s.", user, auth, target), err
}

func removeGrant(c *call) (result, error) {
	target, user := c.args[0], c.args[1]
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.RemoveGrant, server.Granting{On: target, User: user})
	})
	return done(target, "%s has no right of its own on %s any more.", user, target), err
}

func listGrants(c *call) (result, error) {
	grants, err := with(c, func(l *server.Local) ([]server.Grant, error) { return all(c, l, server.ListGrants, c.args[0]) })
	return result{value: grants, table: rows([]string{"USER", "RIGHT", "SINCE", "USER ID"}, grants, func(g server.Grant) []string {
		return []string{g.UserName, g.Auth.String(), when(g.Created), g.User}
	})}, err
}
