#include "CMicroHTTPShim.h"
