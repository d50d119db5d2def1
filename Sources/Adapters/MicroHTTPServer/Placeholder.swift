/// To be filled.
