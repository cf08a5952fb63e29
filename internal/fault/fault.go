// Package fault is the closed list of errors a client of Berth may see.
//
// Core packages return *Error with one of the codes below; each HTTP surface
// renders a code through one table of its own (status and wire code). Every
// other error is a defect or an outage and is rendered as Internal, with
// nothing of its text.
package fault

import (
	"errors"
	"fmt"
)

// Code names what went wrong, independent of any surface.
type Code string

// The codes. A code added here must be added to the table of every surface;
// tests range over Codes.
const (
	Invalid          Code = "invalid"           // an argument has a wrong form
	Missing          Code = "missing"           // an argument that must be there is not
	NameInvalid      Code = "name_invalid"      // organization or repository name outside the grammar
	TagInvalid       Code = "tag_invalid"       // tag outside the grammar
	DigestInvalid    Code = "digest_invalid"    // malformed digest, or bytes that do not match it
	ManifestInvalid  Code = "manifest_invalid"  // malformed, ambiguous or unsupported manifest
	SizeInvalid      Code = "size_invalid"      // body shorter or longer than announced
	TooLarge         Code = "too_large"         // a body or member over its limit
	TooLong          Code = "too_long"          // a text over its limit
	RangeInvalid     Code = "range_invalid"     // range or offset that does not fit; Detail is the true offset (int64)
	UploadInvalid    Code = "upload_invalid"    // the upload exists but cannot go on
	PageInvalid      Code = "page_invalid"      // a paging parameter that does not parse
	FilterInvalid    Code = "filter_invalid"    // a filter expression that does not parse
	RightInvalid     Code = "right_invalid"     // a right that is none of 1, 3, 7
	Unsupported      Code = "unsupported"       // understood, and refused for good
	Unauthorized     Code = "unauthorized"      // nobody is logged in, or the credential is wrong
	Denied           Code = "denied"            // the caller is known and may not
	Foreign          Code = "foreign"           // it belongs to another account
	Reserved         Code = "reserved"          // the name is kept for the system
	AccountUnknown   Code = "account_unknown"   //
	UserUnknown      Code = "user_unknown"      //
	KeyUnknown       Code = "key_unknown"       //
	ProjectUnknown   Code = "project_unknown"   //
	OrgUnknown       Code = "org_unknown"       // no such organization
	RepoUnknown      Code = "repo_unknown"      // no such repository
	TagUnknown       Code = "tag_unknown"       //
	ManifestUnknown  Code = "manifest_unknown"  //
	BlobUnknown      Code = "blob_unknown"      //
	ReferenceUnknown Code = "reference_unknown" // a manifest names a blob or manifest the repository lacks; Detail is the digest
	UploadUnknown    Code = "upload_unknown"    //
	GrantUnknown     Code = "grant_unknown"     //
	ShareUnknown     Code = "share_unknown"     // a repository is not shared with that account
	RuleUnknown      Code = "rule_unknown"      // no such trigger, retention rule or synchronization
	JobUnknown       Code = "job_unknown"       //
	Exists           Code = "exists"            // the thing to create is already there
	NotEmpty         Code = "not_empty"         // deletion refused: something is inside
	InUse            Code = "in_use"            // deletion refused: something refers to it
	Quota            Code = "quota"             // a quota is reached
	TooMany          Code = "too_many"          // slow down; Detail may be the time to wait
	Full             Code = "full"              // no storage left
	Unavailable      Code = "unavailable"       // try again later
	Timeout          Code = "timeout"           // the client was too slow
	Internal         Code = "internal"          // a defect of ours
)

// Codes lists every code once, for tests of the surfaces' tables.
var Codes = []Code{
	Invalid, Missing, NameInvalid, TagInvalid, DigestInvalid, ManifestInvalid, SizeInvalid, TooLarge, TooLong, RangeInvalid,
	UploadInvalid, PageInvalid, FilterInvalid, RightInvalid, Unsupported, Unauthorized, Denied, Foreign, Reserved, AccountUnknown, UserUnknown,
	KeyUnknown, ProjectUnknown, OrgUnknown, RepoUnknown, TagUnknown, ManifestUnknown, BlobUnknown,
	ReferenceUnknown, UploadUnknown, GrantUnknown, ShareUnknown, RuleUnknown, JobUnknown, Exists, NotEmpty, InUse, Quota, TooMany, Full, Unavailable,
	Timeout, Internal,
}

// Error is an error with a code. Msg is one sentence for the client; Err is
// the cause, for the log only. Detail is documented beside its code.
type Error struct {
	Code   Code
	Msg    string
	Err    error
	Detail any
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Msg, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Msg)
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, fault.New(code, "")) compare by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// New makes an error for the client.
func New(c Code, format string, args ...any) *Error {
	if len(args) == 0 {
		return &Error{Code: c, Msg: format}
	}
	return &Error{Code: c, Msg: fmt.Sprintf(format, args...)}
}

// Wrap makes an error with a cause that only the log sees.
func Wrap(c Code, err error, format string, args ...any) *Error {
	e := New(c, format, args...)
	e.Err = err
	return e
}

// With returns a copy of e that carries a detail.
func (e *Error) With(detail any) *Error {
	c := *e
	c.Detail = detail
	return &c
}

// CodeOf returns the code of err, Internal for an error without one, and ""
// for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Is reports whether err carries the code.
func Is(err error, c Code) bool { return err != nil && CodeOf(err) == c }
