/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest program: what it costs is its start and its end. */
int main(void)
{
	return 0;
}
