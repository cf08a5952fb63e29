package swrapi

import (
	"net/http"
	"strconv"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/guide"
	"berth.dev/berth/internal/iam"
)

// Guides are Berth's own: the commands of clients with everything filled in.
var guideRoutes = []route{
	{method: http.MethodGet, pattern: "/v2/manage/guides/{guide}", name: "ShowGuide", about: anOrg, handle: (*API).showGuide},
}

func (a *API) showGuide(c *call) error {
	lang, err := c.language()
	if err != nil {
		return err
	}
	scheme, host := a.origin.External(c.r)
	s := guide.Subject{Address: scheme + "://" + host, User: loginName(c.who), Lang: lang}
	if name := c.query.Get("namespace"); name != "" {
		o, err := a.reg.Reach(c.r.Context(), c.who, name)
		if err != nil {
			return err
		}
		s.Org, s.Charts, s.Public, s.NoPush = o.Name, o.Charts, o.Public, !o.Push
	}
	g, err := guide.New(guide.Topic(c.path["guide"]), s)
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Language", string(g.Lang))
	h.Set("Vary", "Accept-Language")
	return c.ok(g)
}

// loginName is how a caller logs in to the registry.
func loginName(who iam.Caller) string {
	if who.AccountName == iam.FirstName {
		return who.UserName
	}
	return who.AccountName + "/" + who.UserName
}

// maxLanguages bounds how many of the languages of a client are looked at.
const maxLanguages = 16

// language is the one that the query asks for, else the one that the client
// likes best of those there are.
func (c *call) language() (guide.Lang, error) {
	if asked := c.query.Get("lang"); asked != "" {
		lang, ok := guide.ParseLang(asked)
		if !ok {
			return "", fault.New(fault.PageInvalid, "lang is %s or %s.", guide.English, guide.Chinese)
		}
		return lang, nil
	}
	best, most := guide.English, 0.0
	for i, part := range strings.Split(c.r.Header.Get("Accept-Language"), ",") {
		if i == maxLanguages {
			break
		}
		tag, weight, weighted := strings.Cut(part, ";")
		q := 1.0
		if weighted {
			var err error
			if q, err = strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64); err != nil {
				continue
			}
		}
		if lang, ok := guide.ParseLang(tag); ok && q > most {
			best, most = lang, q
		}
	}
	return best, nil
}
