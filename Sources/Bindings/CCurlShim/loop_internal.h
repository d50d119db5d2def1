#pragma once
#include "loop.h"

// The interface between the loop and the callbacks of an exchange.
curl_socket_t millrace_loop_open_socket(millrace_loop *loop, const struct curl_sockaddr *address);
int millrace_loop_on_close_socket(void *loop, curl_socket_t socket);
