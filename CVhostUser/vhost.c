#include "CVhostUser.h"
