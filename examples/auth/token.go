package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Claims are what a token says. The signature vouches for that.
type claims struct {
	Subject  string    `json:"sub"`           // a device's ID, or a user's name
	Audience string    `json:"aud"`           // who it is for: a token of one kind is of no use as another
	Devices  []string  `json:"dev,omitempty"` // that a user may reach
	Expires  time.Time `json:"exp"`
}

const (
	forDevices = "device"
	forUsers   = "user"
)

var (
	errToken   = errors.New("no valid token")
	errExpired = errors.New("the token has expired")
)

// sign makes a token. It is like a JWT without the header, because there is only one
// algorithm. If you have JWTs already, let your library do what sign and verify do.
func sign(key ed25519.PrivateKey, c claims) string {
	payload, _ := json.Marshal(c) // which cannot fail
	encode := base64.RawURLEncoding.EncodeToString
	return encode(payload) + "." + encode(ed25519.Sign(key, payload))
}

// verify returns the claims of a token that was signed with the other half of key.
func verify(key ed25519.PublicKey, token, audience string) (c claims, err error) {
	first, second, _ := strings.Cut(token, ".")
	payload, err1 := base64.RawURLEncoding.DecodeString(first)
	signature, err2 := base64.RawURLEncoding.DecodeString(second)
	if err1 != nil || err2 != nil || !ed25519.Verify(key, payload, signature) {
		return claims{}, errToken
	}
	if err := json.Unmarshal(payload, &c); err != nil || c.Audience != audience {
		return claims{}, errToken
	}
	if !time.Now().Before(c.Expires) {
		return claims{}, errExpired
	}
	return c, nil
}

// bearer returns the token of a request, or "".
func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}
