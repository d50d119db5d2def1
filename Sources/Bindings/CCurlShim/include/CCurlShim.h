#pragma once
#include "egress.h"
#include "exchange.h"
#include "loop.h"
