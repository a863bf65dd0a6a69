/* What a program says on standard error while a case runs. */
#ifndef TESTS_STDERR_CAPTURE_H
#define TESTS_STDERR_CAPTURE_H

/* Before and after a case: see TEST_EACH. What was not read is lost with the second. */
void stderr_capture(void);
void stderr_release(void);
/* What was written since the last call; good until the next. */
const char *stderr_captured(void);

#endif
