package server

import (
	"context"

	"berth.dev/berth/internal/guide"
	"berth.dev/berth/internal/iam"
)

// GuideOf is the argument of ShowGuide.
type GuideOf struct {
	Topic string `json:"topic"` // login, push, pull
	Org   string `json:"organization"`
	User  string `json:"user"` // "": the first administrator
	Lang  string `json:"lang"` // en, zh
}

// Guide is a guide as the command shows it.
type Guide = guide.Guide

// ShowGuide writes the commands of clients, for the address that the
// configuration says, or that the server has.
var ShowGuide = Op[GuideOf, Guide]{"guide.show", func(ctx context.Context, c *core, in GuideOf) (Guide, error) {
	s := guide.Subject{Address: c.address, User: in.User, Lang: guide.Lang(in.Lang)}
	if s.User == "" {
		name, err := c.iam.FirstAdministrator(ctx, iam.Operator(), "")
		if err != nil {
			return Guide{}, err
		}
		s.User = name
	}
	if in.Org != "" {
		o, err := c.registry.Reach(ctx, iam.Operator(), in.Org)
		if err != nil {
			return Guide{}, err
		}
		s.Org, s.Charts, s.Public = o.Name, o.Charts, o.Public
	}
	return guide.New(guide.Topic(in.Topic), s)
}}
