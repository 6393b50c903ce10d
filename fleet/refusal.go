package fleet

import (
	"github.com/backdial/backdial/carrier"
)

// refuse returns the error for a client that is not let in, and gets to know why.
func refuse(status int, why string, cause error) error {
	return &refusal{carrier.RejectedError{StatusCode: status, Body: []byte(why + "\n")}, cause}
}

// A refusal is an error with its answer.
type refusal struct {
	answer carrier.RejectedError
	cause  error
}

func (r *refusal) Error() string { return r.cause.Error() }

func (r *refusal) Unwrap() []error { return []error{r.cause, &r.answer} }
