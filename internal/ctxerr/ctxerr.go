// Package ctxerr says why a context ended.
package ctxerr

import (
	"context"
	"errors"
	"fmt"
)

// Of returns the cause of the end of ctx, in an error that matches ctx.Err() too. The cause by
// itself may be any error.
func Of(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
