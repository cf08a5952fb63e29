// Package guide writes the commands by which clients log in to the registry,
// push to it and pull from it, with the address, the user and the organization
// filled in. It knows no HTTP and looks nothing up.
package guide

import (
	"strings"

	"berth.dev/berth/internal/fault"
)

// A Topic is what somebody wants to do.
type Topic string

// The topics.
const (
	Login Topic = "login"
	Push  Topic = "push"
	Pull  Topic = "pull"
)

// A Lang is a language that guides are written in.
type Lang string

// The languages.
const (
	English Lang = "en"
	Chinese Lang = "zh"
)

// Subject is what a guide is about.
type Subject struct {
	Address string // of the registry, as its clients reach it: https://registry.example.com
	User    string // to log in as; any will do beside an access credential
	Org     string // organization or chart group; only Login does without
	Charts  bool   // it is a chart group
	Public  bool   // everyone pulls from it
	NoPush  bool   // the user may not push there
	Lang    Lang   // "": English
}

// A Guide is a list of steps. Whoever uses one client needs those that are for
// all and those of that client.
type Guide struct {
	Topic Topic  `json:"topic"`
	Lang  Lang   `json:"language"`
	Title string `json:"title"`
	Steps []Step `json:"steps"`
}

// A Step is something to do: commands for a shell, and a file where one is
// needed.
type Step struct {
	Client   string   `json:"client"` // docker, podman, ...; empty: for all
	Title    string   `json:"title"`
	Text     string   `json:"text"`
	Commands []string `json:"commands"`
	File     string   `json:"file,omitempty"` // where Content belongs
	Content  string   `json:"content,omitempty"`
}

// New writes a guide. Errors: fault.RuleUnknown for a topic that is none,
// fault.Missing without an organization, fault.Invalid for an address or a name
// that a shell would take apart.
func New(topic Topic, s Subject) (Guide, error) {
	w, err := newWriter(s)
	if err != nil {
		return Guide{}, err
	}
	g := Guide{Topic: topic, Lang: w.Lang}
	switch topic {
	case Login:
		g.Title = w.say("Log in to "+w.host, "登录 "+w.host)
		g.Steps = w.login()
	case Push:
		g.Title = w.say("Push to "+w.Org, "推送到 "+w.Org)
		g.Steps = append(w.warning(), w.each(w.pushImages, w.pushCharts)...)
	case Pull:
		g.Title = w.say("Pull from "+w.Org, "从 "+w.Org+" 拉取")
		g.Steps = w.each(w.pullImages, w.pullCharts)
	default:
		return Guide{}, fault.New(fault.RuleUnknown, "There are guides to %s, %s and %s.", Login, Push, Pull)
	}
	if topic != Login && w.Org == "" {
		return Guide{}, fault.New(fault.Missing, "The guide to %s is about an organization or a chart group: namespace is missing.", topic)
	}
	for i := range g.Steps {
		if g.Steps[i].Commands == nil {
			g.Steps[i].Commands = []string{}
		}
	}
	return g, nil
}

// writer is a subject with what follows from it.
type writer struct {
	Subject
	host  string // with its port
	plain bool   // without TLS
}

func newWriter(s Subject) (*writer, error) {
	scheme, host, _ := strings.Cut(s.Address, "://")
	if scheme != "http" && scheme != "https" || !isWord(host) {
		return nil, fault.New(fault.Invalid, "The address of the registry is none that commands can be written for.")
	}
	if s.User == "" {
		s.User = "berth"
	}
	if !isWord(s.User) || s.Org != "" && !isWord(s.Org) {
		return nil, fault.New(fault.Invalid, "The name of the user or of the organization is none that commands can be written for.")
	}
	if s.Lang != Chinese {
		s.Lang = English
	}
	return &writer{s, host, scheme == "http"}, nil
}

// isWord reports what a shell takes as it is.
func isWord(s string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:@[]"
	return s != "" && len(s) <= 512 && s[0] != '-' && strings.Trim(s, plain) == ""
}

// say picks the language.
func (w *writer) say(english, chinese string) string {
	if w.Lang == Chinese {
		return chinese
	}
	return english
}

// each is the part of a guide that differs for images and charts.
func (w *writer) each(images, charts func() []Step) []Step {
	if w.Charts {
		return charts()
	}
	return images()
}

// warning tells who may not push that it will not work.
func (w *writer) warning() []Step {
	if !w.NoPush {
		return nil
	}
	return []Step{{
		Title: w.say("A right is missing", "缺少权限"),
		Text: w.say("You may not push to "+w.Org+". Ask for the right 3 (edit) on it.",
			"您没有向 "+w.Org+" 推送的权限，请申请其 3（编辑）权限。"),
	}}
}

// insecure is the flag, where there is no TLS.
func (w *writer) insecure(flag string) string {
	if w.plain {
		return flag
	}
	return ""
}

// line joins the words of a command that are not empty.
func line(words ...string) string {
	var out []string
	for _, word := range words {
		if word != "" {
			out = append(out, word)
		}
	}
	return strings.Join(out, " ")
}

// ParseLang returns the language that a tag such as zh-Hans-CN names.
func ParseLang(tag string) (Lang, bool) {
	base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(strings.TrimSpace(tag), "_", "-")), "-")
	switch Lang(base) {
	case English, Chinese:
		return Lang(base), true
	}
	return "", false
}
