package server

import (
	"context"

	"berth.dev/berth/internal/iam"
)

// Rotation is the argument of RotateSigning.
type Rotation struct {
	Drop bool `json:"drop"` // what the earlier keys signed ends at once
}

// SigningKey is the key that signs from now on, by its name.
type SigningKey struct {
	Kid string `json:"kid"`
}

// RotateSigning makes another key for tokens, security tokens and uploads.
var RotateSigning = Op[Rotation, SigningKey]{"signing.rotate", func(ctx context.Context, c *core, in Rotation) (SigningKey, error) {
	kid, err := c.iam.Rotate(ctx, iam.Operator(), in.Drop)
	return SigningKey{kid}, err
}}
