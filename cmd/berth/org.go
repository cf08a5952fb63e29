package main

import (
	"strconv"

	"berth.dev/berth/internal/server"
)

func orgCommands() []command {
	return []command{
		{
			name: "org create", args: "NAME",
			short: "Create an organization: the first part of every image's name",
			examples: `berth org create demo
				berth org create acme-web --account acme`,
			flags: accountFlag(),
			run:   createOrg,
		},
		{name: "org list", short: "List organizations", examples: `berth org list --output json`, run: listOrgs},
		{name: "org delete", args: "NAME", short: "Delete an organization without repositories", examples: `berth org delete demo`, run: deleteOrg},
	}
}

func createOrg(c *call) (result, error) {
	o, err := making(c, func(l *server.Local) (server.Org, error) { return server.Call(c.ctx, l, server.CreateOrg, c.named()) })
	return result{value: o, text: "Organization " + o.Name + " created."}, err
}

func listOrgs(c *call) (result, error) {
	orgs, err := with(c, func(l *server.Local) ([]server.Org, error) { return all(c, l, server.ListOrgs, "") })
	return result{value: orgs, table: rows([]string{"NAME", "CREATED", "CREATOR", "ACCOUNT ID"}, orgs, func(o server.Org) []string {
		return []string{o.Name, when(o.Created), o.Creator, o.Account}
	})}, err
}

func deleteOrg(c *call) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, server.DeleteOrg, c.named()) })
	return done(c.args[0], "Organization %s deleted.", c.args[0]), err
}

func repoCommands() []command {
	return []command{
		{
			name: "repo list", args: "[ORG]",
			short: "List repositories, all or those of one organization",
			examples: `berth repo list
				berth repo list demo --output json`,
			run: listRepos,
		},
		{
			name: "repo public", args: "ORG/REPO",
			short: "Let everyone pull from a repository, without login", examples: `berth repo public demo/alpine`,
			run: func(c *call) (result, error) { return setPublic(c, true, "public") },
		},
		{
			name: "repo private", args: "ORG/REPO",
			short: "Let only those with a right pull from a repository", examples: `berth repo private demo/alpine`,
			run: func(c *call) (result, error) { return setPublic(c, false, "private") },
		},
		{name: "repo delete", args: "ORG/REPO", short: "Delete a repository without tags", examples: `berth repo delete demo/alpine`, run: deleteRepo},
	}
}

func listRepos(c *call) (result, error) {
	repos, err := with(c, func(l *server.Local) ([]server.Repo, error) {
		if len(c.args) == 1 {
			return all(c, l, server.ListRepos, c.args[0])
		}
		orgs, err := all(c, l, server.ListOrgs, "")
		if err != nil {
			return nil, err
		}
		repos := []server.Repo{}
		for _, o := range orgs {
			more, err := all(c, l, server.ListRepos, o.Name)
			if err != nil {
				return nil, err
			}
			repos = append(repos, more...)
		}
		return repos, nil
	})
	return result{value: repos, table: rows([]string{"NAME", "PUBLIC", "TAGS", "PULLS", "UPDATED"}, repos, func(r server.Repo) []string {
		return []string{r.Name, yes(r.Public), strconv.FormatInt(r.Tags, 10), strconv.FormatInt(r.Pulls, 10), when(r.Updated)}
	})}, err
}

func setPublic(c *call, on bool, now string) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.SetPublic, server.Switch{Named: c.named(), On: on})
	})
	return done(c.args[0], "Repository %s is %s.", c.args[0], now), err
}

func deleteRepo(c *call) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) { return server.Call(c.ctx, l, server.DeleteRepo, c.named()) })
	return done(c.args[0], "Repository %s deleted.", c.args[0]), err
}
