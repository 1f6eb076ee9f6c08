#include "glmc.h"
