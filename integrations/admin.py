from integrations.payroll.admin import (
    ExportProfileAdmin as ExportProfileAdmin,  # registers itself
)
from integrations.payroll.admin import (
    ExportRunAdmin as ExportRunAdmin,  # registers itself
)
from integrations.payroll.admin import (
    ExportScheduleAdmin as ExportScheduleAdmin,  # registers itself
)
