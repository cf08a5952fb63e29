package main

import (
	"fmt"
	"strconv"

	"berth.dev/berth/internal/server"
)

func orgCommands() []command {
	return []command{
		{
			name: "org create", args: "NAME",
			short: "Create an organization: the first part of every image's name",
			examples: `berth org create demo
				berth org create acme-web --account acme
				berth org create base --public --description "images to build upon"`,
			flags: join(accountFlag(),
				textFlag("description", "`text` about the organization", func(o *options) *string { return &o.description }),
				boolFlag("public", "everyone pulls every image in it, without login", func(o *options) *bool { return &o.public })),
			run: createOrg,
		},
		{
			name: "org set", args: "NAME",
			short: "Change the description or the visibility of an organization",
			long:  "A repository that is public by itself stays so in a private organization.",
			examples: `berth org set demo --public
				berth org set demo --private --description "for the team alone"`,
			flags: join(
				givenFlag("description", "`text` about the organization", func(o *options) **string { return &o.set.description }),
				boolFlag("public", "everyone pulls every image in it, without login", func(o *options) *bool { return &o.public }),
				boolFlag("private", "only those with a right pull from it", func(o *options) *bool { return &o.private })),
			run: setOrg,
		},
		{name: "org list", short: "List organizations", examples: `berth org list --output json`, run: listOrgs},
		{name: "org delete", args: "NAME", short: "Delete an organization without repositories", examples: `berth org delete demo`, run: deleteOrg},
	}
}

func createOrg(c *call) (result, error) {
	o, err := making(c, func(l *server.Local) (server.Org, error) {
		return server.Call(c.ctx, l, server.CreateOrg, server.NewOrg{Named: c.named(), Description: c.description, Public: c.public})
	})
	return result{value: o, text: "Organization " + o.Name + " created."}, err
}

// visibility makes the argument of a change out of the command line.
func (c *call) visibility() (server.SetOrg, error) {
	in := server.SetOrg{Named: c.named(), Description: c.set.description}
	switch {
	case c.public && c.private:
		return in, &usageError{"--public and --private exclude each other", "berth " + c.cmd.name}
	case c.public || c.private:
		in.Public = &c.public
		return in, nil
	}
	return in, c.none()
}

func setOrg(c *call) (result, error) {
	in, err := c.visibility()
	if err != nil {
		return result{}, err
	}
	o, err := with(c, func(l *server.Local) (server.ChangedOrg, error) { return server.Call(c.ctx, l, server.ChangeOrg, in) })
	text := "Organization " + o.Name + " changed."
	if c.private && o.PublicRepos > 0 {
		text += fmt.Sprintf(" Repositories in it that are still public by themselves: %d (berth repo private ORG/REPO).", o.PublicRepos)
	}
	return result{value: o, text: text}, err
}

func listOrgs(c *call) (result, error) {
	accounts := map[string]string{} // names by id
	orgs, err := with(c, func(l *server.Local) ([]server.Org, error) {
		of, err := all(c, l, server.ListAccounts, "")
		if err != nil {
			return nil, err
		}
		for _, a := range of {
			accounts[a.ID] = a.Name
		}
		return all(c, l, server.ListOrgs, "")
	})
	return result{value: orgs, table: rows([]string{"NAME", "PUBLIC", "CREATED", "CREATOR", "ACCOUNT", "DESCRIPTION"}, orgs, func(o server.Org) []string {
		return []string{o.Name, yes(o.Public), when(o.Created), o.Creator, accounts[o.Account], o.Description}
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
		{
			name: "repo delete", args: "ORG/REPO", short: "Delete a repository without tags",
			examples: "berth repo delete demo/alpine\nberth repo delete demo/alpine --force",
			flags:    boolFlag("force", "delete its tags too, for good", func(o *options) *bool { return &o.force }),
			run:      deleteRepo,
		},
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
		return []string{r.Name, openness(r), strconv.FormatInt(r.Tags, 10), strconv.FormatInt(r.Pulls, 10), when(r.Updated)}
	})}, err
}

// openness says whether everyone may pull, and why.
func openness(r server.Repo) string {
	if r.Open && !r.Public {
		return "yes (organization)"
	}
	return yes(r.Public)
}

func setPublic(c *call, on bool, now string) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.SetPublic, server.Switch{Named: c.named(), On: on})
	})
	return done(c.args[0], "Repository %s is %s.", c.args[0], now), err
}

func deleteRepo(c *call) (result, error) {
	_, err := with(c, func(l *server.Local) (server.None, error) {
		return server.Call(c.ctx, l, server.DeleteRepo, server.Switch{Named: c.named(), On: c.force})
	})
	return done(c.args[0], "Repository %s deleted.", c.args[0]), err
}
