#include "CSQLiteShim.h"

// All of the shim is inline; this file makes the target a library.
